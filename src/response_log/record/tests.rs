use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::chat::plan::Decision;
use crate::chat::testing::{OneRoom, at, message};
use crate::llm;
use crate::names::ProviderName;
use crate::timings::Timings;

fn parsed(record: &Record) -> Value {
    let line = record.line();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    serde_json::from_slice(&line).expect("JSON")
}

fn sent() -> ReplyEnd {
    ReplyEnd { spoken: Some(at(2.0)), parts_sent: 1, ..ReplyEnd::silent(ReplyOutcome::Sent) }
}

fn course() -> Course {
    Course {
        timings: Timings::default(),
        prompt: Some(Prompt { system: "You are Vera.".into(), user: "bob says: \"hi\"".into() }),
        answer: Some(Answer {
            provider: ProviderName::new("local"),
            model: "small".into(),
            text: "Hello\nthere.".into(),
            tokens: Some(llm::Tokens { prompt: 10, completion: 5, total: 15 }),
            cut_by_token_limit: false,
            latency: Duration::from_millis(1_234),
            reserving: Duration::ZERO,
        }),
        lines: vec!["Hello there.".into()],
    }
}

#[test]
fn a_sent_reply_has_every_key_of_the_original() {
    let mut room = OneRoom::new(json!({}));
    let plan = room.reply(1.0, "Bob", "Vera, \"hi\"\u{7}");
    let record = parsed(&Record::of_reply(at(2.5), &plan, &course(), sent()));
    assert_eq!(
        record,
        json!({
            "timestamp": "2027-01-15T08:00:02.500000+00:00", "correlation_id": plan.correlation_id,
            "channel": "MovieNight", "trigger_type": "mention", "trigger_name": "vera", "trigger_priority": 10,
            "username": "Bob", "input_message": "Vera, \"hi\"\u{7}", "cleaned_message": plan.message,
            "full_prompt": "You are Vera.\n\nbob says: \"hi\"", "llm_response": "Hello\nthere.",
            "formatted_parts": ["Hello there."], "response_sent": true, "parts_sent": 1, "provider": "local", "model": "small",
            "tokens": {"prompt": 10, "completion": 5, "total": 15}, "latency_ms": 1234,
            "rate_limit": {"allowed": true, "reason": "allowed", "retry_after": 0, "details": {}},
            "outcome": "sent", "reason": null,
        })
    );
}

#[test]
fn the_prompt_is_left_out_when_it_is_not_wanted() {
    let mut room = OneRoom::new(json!({"error_handling": {"log_full_context": false}}));
    let plan = room.reply(1.0, "bob", "Vera, hi");
    let record = parsed(&Record::of_reply(at(2.0), &plan, &course(), sent()));
    assert!(record.get("full_prompt").is_none() && record["provider"] == "local", "{record}");
}

#[test]
fn every_outcome_has_its_word_and_its_reason() {
    let mut room = OneRoom::new(json!({}));
    let plan = room.reply(1.0, "bob", "Vera, hi");
    for (outcome, word, reason) in [
        (ReplyOutcome::Silenced(Reason::RejectedShort), "silenced", "rejected_short"),
        (ReplyOutcome::Silenced(Reason::DryRun), "silenced", "dry_run"),
        (ReplyOutcome::Failed(Reason::Exhausted), "failed", "exhausted"),
        (ReplyOutcome::InDoubt, "in_doubt", "in_doubt"),
        (ReplyOutcome::Abandoned, "abandoned", "abandoned"),
    ] {
        let record = parsed(&Record::of_reply(at(2.0), &plan, &Course::default(), ReplyEnd::silent(outcome)));
        assert_eq!((&record["outcome"], &record["reason"]), (&json!(word), &json!(reason)));
        assert_eq!(record["response_sent"], false);
        for key in ["llm_response", "provider", "model", "tokens", "latency_ms"] {
            assert_eq!(record[key], Value::Null, "{key}");
        }
        assert_eq!(record["formatted_parts"], json!([]));
    }
}

#[test]
fn what_is_held_back_names_the_limit_and_when_to_come_back() {
    let mut room = OneRoom::new(json!({
        "rate_limits": {"user_cooldown_seconds": 60, "mention_cooldown_seconds": 0, "global_cooldown_seconds": 0},
        "spam_detection": {"mention_spam_threshold": 2, "initial_penalty": 30}
    }));
    let mut held_back = |seconds: f64| {
        let heard = message(at(seconds), "bob", "Vera, hi there");
        match room.hears(at(seconds), &heard) {
            Decision::Silence(silence) => {
                let fired = silence.fired.as_ref().expect("something fired");
                parsed(&Record::of_silence(at(seconds), &room.room, Some(&heard), &silence, fired))
            }
            Decision::Reply(plan) => {
                room.decider.settle(plan.ticket, Some(at(seconds)));
                Value::Null
            }
        }
    };
    assert_eq!(held_back(1.0), Value::Null);
    let record = held_back(11.0);
    assert_eq!((&record["outcome"], &record["reason"]), (&json!("silenced"), &json!("user_cooldown")));
    assert_eq!((&record["username"], &record["trigger_name"]), (&json!("bob"), &json!("vera")));
    assert_eq!(
        (&record["input_message"], &record["cleaned_message"]),
        (&json!("Vera, hi there"), &json!("hi there"))
    );
    assert_eq!(record["rate_limit"]["allowed"], false);
    assert_eq!(
        (&record["rate_limit"]["reason"], &record["rate_limit"]["retry_after"]),
        (&json!("user_cooldown"), &json!(50))
    );
    assert!(!record["correlation_id"].as_str().unwrap_or_default().is_empty());
}
