use proptest::prelude::*;

use super::super::testing::at;
use super::super::trace::Untraced;
use super::*;

fn wide() -> Settings {
    Settings {
        global_max_per_minute: 1000,
        global_max_per_hour: 1000,
        global_cooldown: Duration::ZERO,
        user_max_per_hour: 1000,
        user_cooldown: Duration::ZERO,
        mention_cooldown: Duration::ZERO,
        admin_cooldown_multiplier: 0.5,
        admin_limit_multiplier: 2.0,
    }
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = wide();
    change(&mut settings);
    settings
}

/// Limits under which replies are spoken.
struct Said<'a> {
    limits: RateLimits,
    settings: &'a Settings,
    tickets: u64,
}

impl<'a> Said<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self { limits: RateLimits::default(), settings, tickets: 0 }
    }

    fn reserve(&mut self, request: &Request) -> Ticket {
        self.tickets += 1;
        self.limits.reserve(request, Ticket(self.tickets));
        Ticket(self.tickets)
    }

    fn say(&mut self, second: f64, request: &Request) {
        let ticket = self.reserve(request);
        self.limits.settle(ticket, Some(at(second)));
    }

    fn held(&self, second: f64, request: &Request) -> Option<(&'static str, u64)> {
        let blocked = self.limits.check(at(second), self.settings, request, &mut Untraced).err()?;
        Some((blocked.reason.as_str(), blocked.retry_after))
    }
}

fn mention(user: &Username) -> Request<'_> {
    Request { user, rank: 0.0, kind: TriggerKind::Mention, trigger: None }
}

#[test]
fn each_limit_holds_with_its_code_and_its_wait() {
    type Row = (&'static str, fn(&mut Settings), &'static [f64], f64, Option<u64>);
    let rows: [Row; 18] = [
        ("global_minute", |s| s.global_max_per_minute = 2, &[0.0, 10.0], 20.0, Some(40)),
        ("global_minute", |s| s.global_max_per_minute = 2, &[0.0, 10.0], 59.5, Some(1)),
        ("global_minute", |s| s.global_max_per_minute = 2, &[0.0, 10.0], 60.0, None),
        ("global_minute", |s| s.global_max_per_minute = 1, &[0.0, 10.0], 20.0, Some(50)),
        ("global_minute", |s| s.global_max_per_minute = 0, &[], 20.0, Some(60)),
        ("global_hour", |s| s.global_max_per_hour = 1, &[0.5], 3600.0, Some(1)),
        ("global_hour", |s| s.global_max_per_hour = 1, &[0.5], 3600.5, None),
        ("global_hour", |s| s.global_max_per_hour = 0, &[], 0.0, Some(3600)),
        ("global_cooldown", |s| s.global_cooldown = Duration::from_secs(15), &[0.0], 0.1, Some(15)),
        ("global_cooldown", |s| s.global_cooldown = Duration::from_secs(15), &[0.0], 14.9, Some(1)),
        ("global_cooldown", |s| s.global_cooldown = Duration::from_secs(15), &[0.0], 15.0, None),
        ("user_hour", |s| s.user_max_per_hour = 2, &[0.0, 100.0], 200.0, Some(3400)),
        ("user_hour", |s| s.user_max_per_hour = 2, &[0.0, 100.0], 3600.0, None),
        ("user_hour", |s| s.user_max_per_hour = 0, &[], 0.0, Some(3600)),
        ("user_cooldown", |s| s.user_cooldown = Duration::from_secs(7200), &[0.0], 7199.0, Some(1)),
        ("user_cooldown", |s| s.user_cooldown = Duration::from_secs(7200), &[0.0], 7200.0, None),
        ("mention_cooldown", |s| s.mention_cooldown = Duration::from_secs(120), &[0.0], 60.0, Some(60)),
        ("mention_cooldown", |s| s.mention_cooldown = Duration::from_secs(120), &[0.0], 120.0, None),
    ];
    let bob = Username::new("bob");
    for (code, change, spoken, second, retry_after) in rows {
        let settings = settings(change);
        let mut said = Said::new(&settings);
        for at in spoken {
            said.say(*at, &mention(&bob));
        }
        assert_eq!(
            said.held(second, &mention(&bob)),
            retry_after.map(|wait| (code, wait)),
            "{code} {second}"
        );
    }
}

#[test]
fn a_trigger_has_limits_of_its_own_for_all_users() {
    let settings = wide();
    let (bob, ann) = (Username::new("bob"), Username::new("ann"));
    let (popcorn, other): (Arc<str>, Arc<str>) = ("popcorn".into(), "other".into());
    let request = |user, name, max_per_hour, cooldown| Request {
        user,
        rank: 0.0,
        kind: TriggerKind::TriggerWord,
        trigger: Some(TriggerLimits {
            name,
            limits: OwnLimits { max_per_hour, cooldown: Duration::from_secs(cooldown) },
        }),
    };
    let mut said = Said::new(&settings);
    said.say(0.0, &request(&bob, &popcorn, 1, 300));
    assert_eq!(said.held(10.0, &request(&ann, &popcorn, 1, 300)), Some(("trigger_hour", 3590)));
    assert_eq!(said.held(10.0, &request(&ann, &popcorn, 2, 300)), Some(("trigger_cooldown", 290)));
    assert_eq!(said.held(10.0, &request(&ann, &popcorn, 0, 0)), Some(("trigger_hour", 3600)));
    assert_eq!(said.held(10.0, &request(&ann, &popcorn, 2, 10)), None);
    assert_eq!(said.held(10.0, &request(&ann, &other, 1, 300)), None);
}

#[test]
fn limits_of_users_and_mentions_are_for_the_right_ones() {
    let settings = settings(|s| {
        s.user_cooldown = Duration::from_secs(60);
        s.mention_cooldown = Duration::from_secs(120);
    });
    let (bob, also_bob, ann) = (Username::new("bob"), Username::new("BOB"), Username::new("ann"));
    let mut said = Said::new(&settings);
    said.say(0.0, &mention(&bob));
    assert_eq!(said.held(1.0, &mention(&also_bob)), Some(("user_cooldown", 59)));
    assert_eq!(said.held(1.0, &mention(&ann)), Some(("mention_cooldown", 119)));
    let word = Request { kind: TriggerKind::TriggerWord, ..mention(&ann) };
    assert_eq!(said.held(1.0, &word), None);
}

#[test]
fn admins_have_more_and_wait_less_truncated_to_whole_numbers() {
    let settings = settings(|s| {
        s.global_max_per_minute = 1;
        s.admin_limit_multiplier = 2.9;
        s.global_cooldown = Duration::from_secs(15);
    });
    let bob = Username::new("bob");
    for (rank, second, expected) in [
        (2.9, 7.0, Some(("global_minute", 53))),
        (3.0, 6.9, Some(("global_cooldown", 1))),
        (3.0, 7.0, None),
        (f64::MAX, 7.0, None),
    ] {
        let mut said = Said::new(&settings);
        said.say(0.0, &mention(&bob));
        assert_eq!(said.held(second, &Request { rank, ..mention(&bob) }), expected, "{rank}");
    }
    let mut said = Said::new(&settings);
    said.say(0.0, &mention(&bob));
    said.say(0.0, &mention(&bob));
    assert_eq!(said.held(7.0, &Request { rank: 3.0, ..mention(&bob) }), Some(("global_minute", 53)));
}

#[test]
fn an_open_reply_counts_as_now_until_it_is_settled() {
    let settings = settings(|s| s.global_max_per_minute = 1);
    let bob = Username::new("bob");
    let mut said = Said::new(&settings);
    let ticket = said.reserve(&mention(&bob));
    assert_eq!(said.held(500.0, &mention(&bob)), Some(("global_minute", 60)));
    said.limits.settle(ticket, Some(at(510.0)));
    assert_eq!(said.held(520.0, &mention(&bob)), Some(("global_minute", 50)));
}

#[test]
fn a_reply_of_which_nothing_was_said_gives_its_slot_back_once() {
    let settings = settings(|s| s.global_max_per_minute = 1);
    let bob = Username::new("bob");
    let mut said = Said::new(&settings);
    let ticket = said.reserve(&mention(&bob));
    said.limits.settle(ticket, None);
    said.limits.settle(ticket, None);
    assert_eq!(said.held(1.0, &mention(&bob)), None);
    said.reserve(&mention(&bob));
    assert_eq!(said.held(1.0, &mention(&bob)), Some(("global_minute", 60)));
}

#[test]
fn users_are_forgotten_when_they_no_longer_matter() {
    let settings = settings(|s| s.user_cooldown = Duration::from_secs(7200));
    let mut said = Said::new(&settings);
    for number in 0..300 {
        said.say(0.0, &mention(&Username::new(&format!("user {number}"))));
        said.limits.tidy(at(0.0), &settings, usize::MAX);
    }
    assert_eq!(said.limits.users.len(), 300);
    // A look was taken after 256 replies, and the next one comes after as many.
    for _ in 300..511 {
        said.limits.tidy(at(7200.0), &settings, usize::MAX);
    }
    assert_eq!(said.limits.users.len(), 300);
    said.limits.tidy(at(7200.0), &settings, usize::MAX);
    assert_eq!(said.limits.users.len(), 0);
}

#[test]
fn a_user_counts_with_the_name_as_written_and_folded_and_with_every_reply() {
    let bytes = |name: &str, replies: usize| {
        let mut said = Replies::default();
        for second in 0..replies {
            said.open();
            said.close(Some(Duration::from_secs(second as u64)), HOUR);
        }
        (entry_bytes(&Username::new(name), &said), said.heap_bytes())
    };
    let (plain, heap) = bytes("b", 0);
    assert_eq!(heap, 0);
    assert!(plain >= size_of::<(Username, Replies)>() + 2, "{plain}");
    assert_eq!(bytes(&"b".repeat(101), 0).0, plain + 200);
    let (full, heap) = bytes("b", 100);
    assert_eq!(full, plain + heap);
    assert!((100 * size_of::<Duration>()..=256 * size_of::<Duration>()).contains(&heap), "{heap}");
}

#[test]
fn users_stay_within_so_many_bytes_and_open_replies_stay() {
    let settings = wide();
    let mut said = Said::new(&settings);
    let first = Username::new("first");
    said.reserve(&mention(&first));
    for number in 0..10_000 {
        let second = f64::from(number) / 10.0;
        said.say(second, &mention(&Username::new(&format!("user {number} {}", "é".repeat(80)))));
        said.limits.tidy(at(second), &settings, 100_000);
    }
    let bytes: usize = said.limits.users.iter().map(|(name, replies)| entry_bytes(name, replies)).sum();
    assert!(bytes < 250_000, "{bytes}");
    assert!(said.limits.users.contains_key(&first));
    assert!(said.limits.users.keys().any(|name| name.as_str().starts_with("user 9999 ")));
}

/// What happens: time passes; somebody asks; an open reply is spoken or isn't, and told later.
#[derive(Debug, Clone)]
enum Event {
    Pass(f64),
    Ask { user: usize, is_mention: bool },
    Settle { which: usize, is_spoken: bool, told_after: f64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0.0..40.0f64).prop_map(Event::Pass),
        (0usize..3, any::<bool>()).prop_map(|(user, is_mention)| Event::Ask { user, is_mention }),
        (0usize..4, any::<bool>(), 0.0..5.0f64).prop_map(|(which, is_spoken, told_after)| Event::Settle {
            which,
            is_spoken,
            told_after
        }),
    ]
}

/// A reply that was spoken: when, to whom, whether for a mention.
type Spoken = (f64, usize, bool);

fn most_in_any_window(times: &[f64], window: f64) -> usize {
    times
        .iter()
        .map(|end| times.iter().filter(|at| **at <= *end && end - **at < window).count())
        .max()
        .unwrap_or(0)
}

fn closest(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min)
}

proptest! {
    #[test]
    fn never_more_replies_than_the_limit_in_any_window(
        events in prop::collection::vec(event(), 0..150),
        (minute, hour, user_hour) in (0u32..4, 0u32..8, 0u32..4),
        (cooldown, user_cooldown, mention_cooldown) in (0u64..30, 0u64..60, 0u64..90),
    ) {
        let settings = Settings {
            global_max_per_minute: minute,
            global_max_per_hour: hour,
            global_cooldown: Duration::from_secs(cooldown),
            user_max_per_hour: user_hour,
            user_cooldown: Duration::from_secs(user_cooldown),
            mention_cooldown: Duration::from_secs(mention_cooldown),
            ..wide()
        };
        let users = ["ann", "bob", "eve"].map(Username::new);
        let mut said = Said::new(&settings);
        let (mut now, mut open, mut spoken) = (0.0, Vec::new(), Vec::<Spoken>::new());
        for event in events {
            match event {
                Event::Pass(seconds) => now += seconds,
                Event::Ask { user, is_mention } => {
                    let kind = if is_mention { TriggerKind::Mention } else { TriggerKind::TriggerWord };
                    let request = Request { user: &users[user], rank: 0.0, kind, trigger: None };
                    match said.limits.check(at(now), &settings, &request, &mut Untraced) {
                        Ok(()) => open.push((said.reserve(&request), user, is_mention)),
                        Err(blocked) => {
                            prop_assert!((1..=3600).contains(&blocked.retry_after));
                            let later = now + blocked.retry_after as f64;
                            let is_never = [minute, hour, user_hour].contains(&0);
                            if open.is_empty() && !is_never {
                                let then = said.limits.check(at(later), &settings, &request, &mut Untraced);
                                prop_assert_ne!(then.err().map(|later| later.reason), Some(blocked.reason));
                            }
                        }
                    }
                }
                Event::Settle { which, is_spoken, told_after } => {
                    if which < open.len() {
                        let (ticket, user, is_mention) = open.remove(which);
                        if is_spoken {
                            spoken.push((now, user, is_mention));
                        }
                        let moment = is_spoken.then(|| at(now));
                        now += told_after;
                        said.limits.settle(ticket, moment);
                    }
                }
            }
        }
        let of = |keep: &dyn Fn(&Spoken) -> bool| spoken.iter().filter(|reply| keep(reply)).map(|reply| reply.0).collect::<Vec<_>>();
        let all = of(&|_| true);
        prop_assert!(most_in_any_window(&all, 60.0) <= minute as usize);
        prop_assert!(most_in_any_window(&all, 3600.0) <= hour as usize);
        prop_assert!(closest(&all) >= cooldown as f64 - 1e-6);
        for user in 0..users.len() {
            let to_user = of(&|reply| reply.1 == user);
            prop_assert!(most_in_any_window(&to_user, 3600.0) <= user_hour as usize);
            prop_assert!(closest(&to_user) >= user_cooldown as f64 - 1e-6);
        }
        prop_assert!(closest(&of(&|reply| reply.2)) >= mention_cooldown as f64 - 1e-6);
    }
}
