//! Neighbours for playing and for manual tests: two providers and a robot that only pretend, on a NATS
//! server that somebody else runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt as _;
use kryten_testkit::config::merge;
use kryten_testkit::{Behaviour, Context as _, Error, Manner, Provider, Result, Robot, Room, within};
use serde_json::{Value, json};

/// The providers of config.example.json.
const PROVIDERS: [&str; 2] = ["local", "openrouter"];
/// Under this subject a provider is told how to behave from now on.
const ORDERS: &str = "stand-in";
/// How long a slow provider takes.
const SLOW: Duration = Duration::from_secs(3);
/// More than the bot remembers of what it said (`validation.repetition_history_size`).
const ANSWERS: [&str; 12] = [
    "First you bow, then you kick. In that order, always.",
    "I have seen that film nine times. The ninth time, the villain nearly won.",
    "Ask me again after the fight scene, I am busy admiring the furniture.",
    "A good stunt needs no explanation. A bad one needs a sequel.",
    "My advice: never chase a man into a warehouse full of cardboard boxes.",
    "That was no accident, that was choreography.",
    "Popcorn first, philosophy later.",
    "They do not make staircases like that any more, not to fall down from.",
    "Yes, but can your hero do it in one take?",
    "Somewhere a gong is ringing, and I take that as a no.",
    "The dubbing is half a second late and twice as honest.",
    "Give me two sticks, a chain and a minute, and we talk about it again.",
];

/// The stand-ins. Dropping them ends them.
pub struct Neighbours {
    _robot: Robot,
    providers: [Provider; 2],
    client: Client,
}

impl Neighbours {
    /// Starts them on the server at `url`.
    pub async fn start(url: &str) -> Result<Neighbours> {
        let options = ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(50));
        let what = format!("connecting to {url}");
        let client = within(Duration::from_secs(10), &what, options.connect(url)).await?.context(&what)?;
        let example = example()?;
        let room = |key: &str| example["channels"][0][key].as_str().unwrap_or_default();
        let rooms = [Room::new(room("domain"), room("channel"))];
        let name = example["personality"]["character_name"].as_str().unwrap_or_default();
        let robot = Robot::start(client.clone(), &rooms, name, Manner::Echoes).await?;
        let providers = [Provider::start().await?, Provider::start().await?];
        let answers = Arc::new(AtomicUsize::new(0));
        for provider in &providers {
            provider.always(working(answers.clone()));
        }
        Ok(Neighbours { _robot: robot, providers, client })
    }

    /// config.example.json with what reaches the stand-ins, and limits so wide that nobody waits.
    pub fn config(&self, url: &str) -> Result<Value> {
        let mut config = example()?;
        let [local, openrouter] =
            self.providers.each_ref().map(|provider| json!({ "base_url": provider.base_url() }));
        merge(
            &mut config,
            json!({
                "nats": { "servers": [url] },
                "llm_providers": { "local": local, "openrouter": openrouter },
                "rate_limits": {
                    "global_max_per_minute": 1000,
                    "global_max_per_hour": 1000,
                    "global_cooldown_seconds": 0,
                    "user_max_per_hour": 1000,
                    "user_cooldown_seconds": 0,
                    "mention_cooldown_seconds": 0,
                },
                "spam_detection": { "enabled": false },
            }),
        );
        Ok(config)
    }

    /// Takes orders such as "fails" on `stand-in.local`, for ever.
    pub async fn obey(&self) -> Result {
        let mut orders = self.client.subscribe(format!("{ORDERS}.*")).await.context("listening to orders")?;
        let answers = Arc::new(AtomicUsize::new(0));
        while let Some(order) = orders.next().await {
            let name = order.subject.rsplit('.').next().unwrap_or_default();
            let words = String::from_utf8_lossy(&order.payload);
            let provider = PROVIDERS.iter().position(|known| *known == name).map(|at| &self.providers[at]);
            let answer = match (provider, words.as_ref()) {
                (None, _) => format!("the providers are {}", PROVIDERS.join(" and ")),
                (Some(provider), order) => match behaviour(order, &answers) {
                    None => "a provider works, fails, hangs, or is slow".to_owned(),
                    Some(behaviour) => {
                        provider.always(behaviour);
                        format!("{name} {order} from now on")
                    }
                },
            };
            if let Some(inbox) = order.reply {
                self.client.publish(inbox, answer.into()).await.context("answering an order")?;
            }
        }
        Err(Error::new("the connection to NATS is closed"))
    }
}

fn behaviour(order: &str, answers: &Arc<AtomicUsize>) -> Option<Behaviour> {
    match order {
        "works" => Some(working(answers.clone())),
        "slow" => Some(slow(answers.clone())),
        "fails" => {
            Some(Behaviour::Status(500, json!({ "error": { "message": "told to fail" } }).to_string()))
        }
        "hangs" => Some(Behaviour::Hang),
        _ => None,
    }
}

fn working(answers: Arc<AtomicUsize>) -> Behaviour {
    Behaviour::choose(move |_| Behaviour::answer(next(&answers)))
}

fn slow(answers: Arc<AtomicUsize>) -> Behaviour {
    Behaviour::choose(move |_| Behaviour::AnswerAfter(SLOW, next(&answers).to_owned()))
}

fn next(answers: &AtomicUsize) -> &'static str {
    ANSWERS[answers.fetch_add(1, Ordering::Relaxed) % ANSWERS.len()]
}

fn example() -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    let what = format!("reading {}", path.display());
    serde_json::from_str(&std::fs::read_to_string(path).context(&what)?).context(&what)
}
