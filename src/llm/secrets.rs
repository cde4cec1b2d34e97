//! What no provider may make us repeat: the keys and headers of all of them.

use std::cmp::Reverse;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::config::ProviderConfig;

/// How a secret is shown.
const MASK: &str = "****";

/// Shorter words are no keys, but may be words of the answer, in bytes.
const SHORTEST: usize = 8;

/// The most secrets of earlier configurations that are still masked, the latest of them; in forms.
const MOST_FORMER: usize = 256;

/// The secrets of all configured providers: a proxy in front of several may quote any of them.
/// `Debug` masks them.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Keys, and headers that sign us in.
    keys: Vec<SecretString>,
    /// Other headers, also those that were in force before. A title, say, may well be said in chat, but nothing
    /// of them goes into a log.
    others: Vec<SecretString>,
    /// Keys that were in force before: who was given them may still quote them.
    former: Vec<SecretString>,
}

impl Secrets {
    /// Those of these providers, the unusable ones included.
    pub fn of(providers: &[ProviderConfig]) -> Self {
        let mut secrets = Self::default();
        for provider in providers {
            secrets.keys.extend(provider.api_key.iter().flat_map(words));
            let url = Url::parse(&provider.base_url).ok();
            let password = url.as_ref().and_then(Url::password);
            secrets.keys.extend(password.iter().flat_map(|password| words(&SecretString::from(*password))));
            for (name, value) in &provider.custom_headers {
                let kept = if signs_in(name) { &mut secrets.keys } else { &mut secrets.others };
                kept.extend(words(value));
            }
        }
        secrets
    }

    /// These, and those that they follow.
    pub fn after(mut self, before: &Self) -> Self {
        let is_one = |known: &[SecretString], secret: &SecretString| {
            known.iter().any(|known| known.expose_secret() == secret.expose_secret())
        };
        for key in before.keys.iter().chain(&before.former) {
            let is_known = is_one(&self.keys, key) || is_one(&self.former, key);
            if !is_known && self.former.len() < MOST_FORMER {
                self.former.push(key.clone());
            }
        }
        for other in &before.others {
            if !is_one(&self.others, other) && self.others.len() < MOST_FORMER {
                self.others.push(other.clone());
            }
        }
        self
    }

    /// A body that may become a line in chat.
    pub fn without_keys(&self, body: &str) -> String {
        masked(body, self.keys.iter().chain(&self.former))
    }

    /// A body that may become a line in a log, or in an answer to a command.
    pub fn without_any(&self, body: &str) -> String {
        masked(body, self.keys.iter().chain(&self.former).chain(&self.others))
    }
}

/// The words of a secret that are long enough to be one, each as it is and as JSON may write it.
fn words(secret: &SecretString) -> Vec<SecretString> {
    let mut words = Vec::new();
    for word in secret.expose_secret().split(' ').filter(|word| word.len() >= SHORTEST) {
        let quoted = Value::from(word).to_string();
        let escaped = &quoted[1..quoted.len() - 1];
        for form in [escaped.replace('/', r"\/"), escaped.to_owned(), word.to_owned()] {
            words.push(SecretString::from(form));
        }
    }
    words.dedup_by(|one, other| one.expose_secret() == other.expose_secret());
    words
}

fn masked<'a>(body: &str, secrets: impl Iterator<Item = &'a SecretString>) -> String {
    let mut secrets: Vec<&str> = secrets.map(ExposeSecret::expose_secret).collect();
    // A key may be a part of another.
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    secrets.into_iter().fold(body.to_owned(), |body, secret| {
        if body.contains(secret) { body.replace(secret, MASK) } else { body }
    })
}

/// Whether a custom header signs us in.
fn signs_in(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie"].iter().any(|word| header.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::fixtures::provider;

    #[test]
    fn the_secrets_of_all_providers_are_masked_in_every_form_and_others_in_logs_only() {
        let providers = [
            ProviderConfig { api_key: Some("key/of-the\"first".into()), ..provider("a") },
            ProviderConfig {
                base_url: "https://user:password-of-b@host/v1".to_owned(),
                usable: Err("no model".to_owned()),
                custom_headers: vec![
                    ("Authorization".to_owned(), "Bearer token-of-b".into()),
                    ("X-Title".to_owned(), "Saturday Night".into()),
                ],
                ..provider("b")
            },
        ];
        let secrets = Secrets::of(&providers);
        for (body, said, logged) in [
            ("got key/of-the\"first", "got ****", "got ****"),
            (r#"{"got":"key\/of-the\"first"}"#, r#"{"got":"****"}"#, r#"{"got":"****"}"#),
            (r#"{"got":"key/of-the\"first"}"#, r#"{"got":"****"}"#, r#"{"got":"****"}"#),
            ("Bearer token-of-b, password-of-b", "Bearer ****, ****", "Bearer ****, ****"),
            ("Saturday Night", "Saturday Night", "**** Night"),
            ("nothing of that", "nothing of that", "nothing of that"),
        ] {
            assert_eq!(
                (secrets.without_keys(body).as_str(), secrets.without_any(body).as_str()),
                (said, logged)
            );
        }
        assert!(!format!("{secrets:?}").contains("first"));
    }

    #[test]
    fn keys_that_were_replaced_are_masked_on_and_the_oldest_are_forgotten() {
        let of = |key: &str| Secrets::of(&[ProviderConfig { api_key: Some(key.into()), ..provider("a") }]);
        let mut secrets = of("the-first-key");
        secrets = of("the-second-key").after(&secrets);
        secrets = of("the-second-key").after(&secrets);
        assert_eq!(secrets.former.len(), 1);
        let body = "the-first-key, the-second-key";
        assert_eq!(
            (secrets.without_keys(body), secrets.without_any(body)),
            ("****, ****".into(), "****, ****".into())
        );
        for number in 0..2 * MOST_FORMER {
            secrets = of(&format!("another-key-{number}-")).after(&secrets);
        }
        assert_eq!(secrets.former.len(), MOST_FORMER);
        assert_eq!(secrets.without_keys("the-first-key, another-key-300-"), "the-first-key, ****");
    }

    #[test]
    fn a_key_that_is_a_part_of_another_leaves_nothing_of_it() {
        let of = |key: &str| Secrets::of(&[ProviderConfig { api_key: Some(key.into()), ..provider("a") }]);
        let secrets = of("the-short-key").after(&of("the-short-key-extended"));
        assert_eq!(secrets.without_keys("the-short-key-extended the-short-key"), "**** ****");
    }

    #[test]
    fn headers_that_were_replaced_stay_out_of_logs() {
        let of = |title: &str| {
            let custom_headers = vec![("X-Title".to_owned(), title.into())];
            Secrets::of(&[ProviderConfig { custom_headers, ..provider("a") }])
        };
        let secrets = of("Saturday").after(&of("Wednesday"));
        assert_eq!(secrets.without_any("Saturday, Wednesday"), "****, ****");
        assert_eq!(secrets.without_keys("Saturday, Wednesday"), "Saturday, Wednesday");
    }

    #[test]
    fn the_headers_that_sign_us_in_are_known_by_their_names() {
        for (name, is_known) in [
            ("Authorization", true),
            ("x-api-key", true),
            ("X-Auth-Token", true),
            ("Cookie", true),
            ("X-Title", false),
            ("HTTP-Referer", false),
        ] {
            assert_eq!(signs_in(name), is_known, "{name}");
        }
    }
}
