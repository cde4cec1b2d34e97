//! JetStream's key-value buckets, as the robot and others write and read them.

use async_nats::jetstream::{self, Context as JetStream, kv};
use futures_util::StreamExt as _;

use super::{PATIENCE, Server};
use crate::error::{Context, Result, within};

impl Server {
    async fn jetstream(&self) -> Result<JetStream> {
        Ok(jetstream::new(self.client().await?))
    }

    /// Writes a value; a bucket that isn't there is created.
    pub async fn put(&self, bucket: &str, key: &str, value: impl Into<Vec<u8>>) -> Result {
        let what = format!("writing {bucket} {key}");
        let config = kv::Config { bucket: bucket.to_owned(), ..kv::Config::default() };
        let write = async {
            let store = self.jetstream().await?.create_or_update_key_value(config).await.context(&what)?;
            store.put(key, value.into().into()).await.context(&what).map(drop)
        };
        within(PATIENCE, &what, write).await?
    }

    /// A value, if it and its bucket are there.
    pub async fn value(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let what = format!("reading {bucket} {key}");
        let read = async {
            let Ok(store) = self.jetstream().await?.get_key_value(bucket).await else { return Ok(None) };
            let value = store.get(key).await.context(&what)?;
            Ok(value.map(|value| value.to_vec()))
        };
        within(PATIENCE, &what, read).await?
    }

    /// The names of all buckets, in order.
    pub async fn buckets(&self) -> Result<Vec<String>> {
        let what = "listing the buckets";
        let list = async {
            let mut streams = self.jetstream().await?.stream_names();
            let mut buckets = Vec::new();
            while let Some(name) = streams.next().await {
                buckets.extend(name.context(what)?.strip_prefix("KV_").map(str::to_owned));
            }
            buckets.sort_unstable();
            Ok(buckets)
        };
        within(PATIENCE, what, list).await?
    }
}
