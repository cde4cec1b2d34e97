//! JetStream's key-value buckets: what others wrote down of the rooms, and what we write down.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::context::{
    GetStreamError, GetStreamErrorKind, KeyValueError, KeyValueErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::kv::{Config, Store};
use async_nats::jetstream::{self, Context, ErrorCode};
use futures_util::future::try_join_all;
use tokio::time::timeout;

use super::Bus;
use crate::names::RoomName;

/// Our own bucket, the only one that we create.
pub const OWN_BUCKET: &str = "kryten_llm_trigger_state";
/// The key of what plays in a room, in its [`playlist_bucket`].
pub const CURRENT: &str = "current";
/// The key of a room's playlist, in the same bucket.
pub const ITEMS: &str = "items";
/// The key of who is there, in a room's [`userlist_bucket`].
pub const USERS: &str = "users";

/// Why nothing could be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// The server, or our account, has no JetStream.
    #[error("there is no JetStream")]
    NoJetStream,
    /// There is no bucket of that name.
    #[error("there is no such bucket")]
    NoBucket,
    /// Nothing came back in time: JetStream hangs, or doesn't let us in.
    #[error("no answer in time")]
    TimedOut,
    /// There is no connection, or no fresh proof that it lives.
    #[error("the link to NATS is down or unproven")]
    LinkDown,
    /// JetStream said no, or something that makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// Where the robot of a room writes down what plays. None for a name that no bucket can have.
pub fn playlist_bucket(room: &RoomName) -> Option<String> {
    bucket_of(room, "playlist")
}

/// Where the robot of a room writes down who is there; likewise.
pub fn userlist_bucket(room: &RoomName) -> Option<String> {
    bucket_of(room, "userlist")
}

fn bucket_of(room: &RoomName, what: &str) -> Option<String> {
    let channel = room.channel();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    channel.chars().all(fits).then(|| format!("kryten_{channel}_{what}"))
}

impl Bus {
    /// Reads keys of a bucket, all at once; none for a key that has no value. Never creates anything.
    ///
    /// # Errors
    /// When one of them can't be read within `patience`.
    pub async fn read_keys(
        &self,
        bucket: &str,
        keys: &[&str],
        patience: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, BucketError> {
        let read = async {
            let store = bind(&self.jetstream().await?, bucket).await?;
            try_join_all(keys.iter().map(|key| get(&store, key))).await
        };
        timeout(patience, read).await.unwrap_or(Err(BucketError::TimedOut))
    }

    /// Writes a key of [`OWN_BUCKET`], which is created when it isn't there.
    ///
    /// # Errors
    /// When nothing says within `patience` that it is written.
    pub async fn write_key(&self, key: &str, value: Vec<u8>, patience: Duration) -> Result<(), BucketError> {
        let write = async {
            let jetstream = self.jetstream().await?;
            let store = match bind(&jetstream, OWN_BUCKET).await {
                Err(BucketError::NoBucket) => {
                    let config = Config { bucket: OWN_BUCKET.to_owned(), ..Config::default() };
                    jetstream.create_key_value(config).await.map_err(|error| refused(&error))?
                }
                bound => bound?,
            };
            store.put(key, value.into()).await.map(drop).map_err(|error| refused(&error))
        };
        timeout(patience, write).await.unwrap_or(Err(BucketError::TimedOut))
    }

    async fn jetstream(&self) -> Result<Context, BucketError> {
        self.fresh_client().await.map(|(client, _)| jetstream::new(client)).ok_or(BucketError::LinkDown)
    }
}

async fn bind(jetstream: &Context, bucket: &str) -> Result<Store, BucketError> {
    jetstream.get_key_value(bucket).await.map_err(|error| not_bound(&error))
}

async fn get(store: &Store, key: &str) -> Result<Option<Vec<u8>>, BucketError> {
    let value = store.get(key).await.map_err(|error| refused(&error))?;
    Ok(value.map(|value| value.to_vec()))
}

fn not_bound(error: &KeyValueError) -> BucketError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<GetStreamError>());
    match (error.kind(), cause.map(|cause| (cause.kind(), cause))) {
        (KeyValueErrorKind::InvalidStoreName, _) => BucketError::NoBucket,
        (_, Some((GetStreamErrorKind::Request, cause))) if is_nobody_there(cause) => BucketError::NoJetStream,
        (_, Some((GetStreamErrorKind::JetStream(said), _))) => match said.error_code() {
            ErrorCode::STREAM_NOT_FOUND => BucketError::NoBucket,
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                BucketError::NoJetStream
            }
            _ => BucketError::Refused(said.to_string()),
        },
        _ => refused(error),
    }
}

fn is_nobody_there(error: &GetStreamError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<RequestError>());
    cause.is_some_and(|cause| cause.kind() == RequestErrorKind::NoResponders)
}

fn refused(error: &(dyn Error + 'static)) -> BucketError {
    BucketError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_buckets_have_its_raw_name_where_a_bucket_can_have_it() {
        for (channel, expected) in [
            ("MovieNight", Some("kryten_MovieNight_playlist")),
            ("a_b-c9", Some("kryten_a_b-c9_playlist")),
            ("movie night", None),
            ("movie.night", None),
            ("Kinó", None),
            ("a>", None),
        ] {
            let room = RoomName::new("cytu.be", channel).expect("a name");
            assert_eq!(playlist_bucket(&room).as_deref(), expected, "{channel}");
            assert_eq!(userlist_bucket(&room).is_some(), expected.is_some(), "{channel}");
        }
    }
}
