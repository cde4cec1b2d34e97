//! What a decision costs, from the bytes on the bus to the reply or the silence: `make bench`.
//!
//! Every message is distinct, HTML of 120 characters, and parsed; one in a hundred triggers. What the
//! service does with a message is done here: its room is found, its time is compared with the clock, it
//! is counted, decided on, and counted by its reason. Only the queues between are not in it. Times are
//! those on the processor, where the system tells them, so that other work on the machine counts
//! little. Figures are printed beside their goals; nothing here fails because a machine is slow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use kryten_llm::chat::decide::Decider;
use kryten_llm::chat::event::change::{RoomChange, Visitor};
use kryten_llm::chat::event::{self, ChatEvent};
use kryten_llm::chat::plan::{Decision, Silence};
use kryten_llm::chat::rules::Rules;
use kryten_llm::clock::Moment;
use kryten_llm::config::{self, Config};
use kryten_llm::health::HealthMonitor;
use kryten_llm::names::{RoomName, Username};
use kryten_llm::outcome::ReplyOutcome;
use serde_json::{Value, json};

/// Counts what is allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages of one measurement, made and decided on in batches.
const BATCHES: usize = 20;
const BATCH: usize = 20_000;
/// One in so many messages triggers.
const TRIGGERS_ONE_IN: usize = 100;
const GOAL: f64 = 300_000.0;
/// How many people come, speak and go on being remembered in the measurement of memory.
const CROWD: usize = 1_000_000;
/// Between two messages, where the speed is measured.
const STEP: Duration = Duration::from_micros(3);
/// Between two messages of the crowd: a million in half a day.
const STEP_OF_THE_CROWD: Duration = Duration::from_millis(40);

fn main() {
    for (triggers, users) in [(10, 1_000), (100, 1_000), (1_000, 1_000), (100, 1), (100, 100), (100, 100_000)]
    {
        speed(triggers, users);
    }
    memory();
}

/// Messages a second on one core.
fn speed(triggers: usize, users: usize) {
    let mut world = World::new(triggers);
    let (mut taken, mut replies) = (Duration::ZERO, 0);
    for batch in 0..BATCHES {
        let first = batch * BATCH;
        let messages: Vec<String> = (first..first + BATCH)
            .map(|number| world.message(number, (number + number / TRIGGERS_ONE_IN) % users, triggers))
            .collect();
        let watch = Watch::start();
        for message in &messages {
            replies += usize::from(world.decides(message.as_bytes(), STEP));
        }
        taken += watch.elapsed();
    }
    let each = taken.as_secs_f64() / (BATCHES * BATCH) as f64;
    println!(
        "deciding, {triggers} triggers, {users} users: {:.0} messages a second, {:.2} µs each, {replies} replies \
         (goal: {GOAL:.0} a second)",
        1.0 / each,
        each * 1e6,
    );
}

/// What a million people make us keep.
fn memory() {
    let mut world = World::new(100);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut replies = 0;
    for number in 0..CROWD {
        let message = world.mention(number);
        replies += usize::from(world.decides(message.as_bytes(), STEP_OF_THE_CROWD));
    }
    for number in 0..CROWD {
        let user = Username::new(&format!("Somebody{number:07}"));
        let joined = RoomChange::Joined(Visitor { user, rank: 1.0, is_away: false });
        assert!(world.decider.on_event(world.now, &world.room, joined, &|_| None).is_none());
    }
    let mebibytes = |bytes: usize| bytes.saturating_sub(before) as f64 / f64::from(1 << 20);
    println!(
        "memory of {CROWD} distinct users who all speak to the bot in half a day, {replies} replies: {:.1} MiB, at most {:.1} MiB \
         (goal: {:.0} MiB)",
        mebibytes(LIVE.load(Ordering::Relaxed)),
        mebibytes(PEAK.load(Ordering::Relaxed)),
        world.config.limits.users_bytes as f64 / f64::from(1 << 20),
    );
}

/// Measures the time that this thread had a processor; else all time.
struct Watch {
    on_processor: Option<Duration>,
    began: Instant,
}

impl Watch {
    fn start() -> Self {
        Self { on_processor: on_processor(), began: Instant::now() }
    }

    fn elapsed(&self) -> Duration {
        match (self.on_processor, on_processor()) {
            (Some(before), Some(now)) => now - before,
            _ => self.began.elapsed(),
        }
    }
}

/// How long this thread has had a processor; only Linux tells.
fn on_processor() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    statistics.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

struct World {
    config: Arc<Config>,
    decider: Decider,
    health: HealthMonitor,
    room: RoomName,
    now: Moment,
}

impl World {
    fn new(triggers: usize) -> Self {
        let config = Arc::new(configuration(triggers));
        let wall = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let now = Moment { elapsed: Duration::ZERO, wall };
        let decider = Decider::new(Rules::new(config.clone()), now, 1);
        let health = HealthMonitor::new(now, [], []);
        Self { room: config.rooms[0].clone(), config, decider, health, now }
    }

    /// Parses and decides; what is to be answered is answered at once. Says whether it is.
    fn decides(&mut self, bytes: &[u8], step: Duration) -> bool {
        self.now.elapsed += step;
        self.now.wall += TimeDelta::from_std(step).expect("a time span");
        let parsed = event::parse("chatmsg", bytes).expect("well-formed");
        let domain = parsed.domain.expect("a domain");
        assert!(self.room.domain().eq_ignore_ascii_case(domain.trim()), "another room");
        let ChatEvent::Chat(message) = parsed.event else { panic!("no chat message") };
        self.health.message_processed(self.now);
        assert_eq!(self.decider.judge_clock(self.now, &self.room, &message), None, "the clock is right");
        match black_box(self.decider.on_chat(self.now, &self.room, &message, &|_| None)) {
            Decision::Silence(Silence { reason, fired: None, .. }) => {
                self.health.message_ignored(reason);
                false
            }
            Decision::Silence(Silence { reason, .. }) => {
                self.health.reply_fired(self.now);
                self.health.reply_ended(self.now, ReplyOutcome::Silenced(reason));
                false
            }
            Decision::Reply(plan) => {
                self.health.reply_fired(self.now);
                self.health.reply_ended(self.now, ReplyOutcome::Sent);
                self.decider.settle(plan.ticket, Some(self.now));
                true
            }
        }
    }

    /// A message as the robot sends it, of 120 characters of HTML; one in a hundred says a trigger word.
    fn message(&self, number: usize, user: usize, triggers: usize) -> String {
        let said = match number % TRIGGERS_ONE_IN {
            0 => word(number / TRIGGERS_ONE_IN % triggers),
            _ => format!("nothing{}", number % 97),
        };
        let mut html =
            format!("<em>Have you seen</em> {said} &amp; {number:x} others? It&#39;s <strong>great</strong>");
        let filler = " with popcorn and a friend who likes films of the seventies, they say, always";
        html.push_str(&filler[..120 - html.len()]);
        self.event(number, &format!("User{user}"), &html)
    }

    /// A message in which somebody who was never here before speaks to the bot.
    fn mention(&self, number: usize) -> String {
        self.event(number, &format!("Somebody{number:07}"), &format!("Vera, what about film {number}?"))
    }

    fn event(&self, number: usize, user: &str, html: &str) -> String {
        let time = self.now.wall.timestamp_millis();
        let mut event = String::new();
        let _ = write!(
            event,
            r#"{{"event_name":"chatMsg","payload":{{"username":"{user}","msg":"{html}","meta":{{"addClass":"x"}},"time":{time}}},"channel":"MovieNight","domain":"cytu.be","timestamp":"2027-01-15T08:00:00.000000+00:00","correlation_id":"{number:08x}-1111-4222-8333-444444444444"}}"#
        );
        event
    }
}

/// A word that nobody says by accident.
fn word(trigger: usize) -> String {
    format!("zq{trigger}x")
}

/// Limits that let much through, so that answers are made, too.
fn configuration(triggers: usize) -> Config {
    let triggers: Vec<Value> = (0..triggers)
        .map(|trigger| {
            let patterns = [word(trigger), format!("another word {trigger}")];
            json!({"name": word(trigger), "patterns": patterns, "cooldown_seconds": 0, "max_responses_per_hour": 1_000_000})
        })
        .collect();
    let text = json!({
        "nats": {"servers": ["nats://127.0.0.1:4222"]},
        "channels": [{"domain": "cytu.be", "channel": "MovieNight"}],
        "personality": {"character_name": "Vera", "name_variations": ["vera", "vee"]},
        "llm_providers": {
            "local": {"type": "openai_compatible", "base_url": "http://127.0.0.1:8080/v1", "model": "small"}
        },
        "triggers": triggers,
        "rate_limits": {
            "global_max_per_minute": 10_000_000, "global_max_per_hour": 10_000_000, "global_cooldown_seconds": 0,
            "user_max_per_hour": 1_000_000, "user_cooldown_seconds": 0, "mention_cooldown_seconds": 0
        }
    });
    config::load(&text.to_string(), &|_| None).expect("a configuration").config
}
