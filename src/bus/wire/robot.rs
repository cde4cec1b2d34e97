//! What the robot answers.

use serde_json::Value;

use crate::health::cut;

/// The longest error text of the robot that is kept, in bytes.
const ERROR_BYTES: usize = 120;
/// No account's name is longer.
const NAME_BYTES: usize = 100;

/// Whether the robot took a line.
///
/// # Errors
/// With the robot's words when it didn't, or when its answer can't be read.
pub fn robot_answer(answer: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| "its answer is not JSON".to_owned())?;
    match answer.get("success") {
        Some(Value::Bool(true)) => Ok(()),
        _ => {
            let error = answer.get("error").and_then(Value::as_str).unwrap_or("it gives no reason");
            Err(cut(error, ERROR_BYTES).to_owned())
        }
    }
}

/// Under which name the robot is in the room, from its answer to a request on
/// [`crate::bus::subjects::user_level`].
pub fn own_name(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.get("success") != Some(&Value::Bool(true)) {
        return None;
    }
    let name = answer.get("username")?.as_str()?.trim();
    (!name.is_empty() && name.len() <= NAME_BYTES).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_robots_answers_are_understood() {
        for (answer, expected) in [
            (r#"{"service":"robot","command":"say","success":true,"data":{"success":true}}"#, Ok(())),
            (r#"{"service":"robot","success":false,"error":"Missing message"}"#, Err("Missing message")),
            (r#"{"success":"yes"}"#, Err("it gives no reason")),
            ("[]", Err("it gives no reason")),
            ("nonsense", Err("its answer is not JSON")),
        ] {
            assert_eq!(robot_answer(answer.as_bytes()), expected.map_err(str::to_owned), "{answer}");
        }
    }

    #[test]
    fn our_name_is_taken_only_from_a_success() {
        for (answer, expected) in [
            (r#"{"success":true,"rank":3,"username":"Vera"}"#, Some("Vera")),
            (r#"{"success":true,"username":" "}"#, None),
            (r#"{"success":false,"username":"Vera"}"#, None),
            (r#"{"success":true,"username":7}"#, None),
            ("7", None),
        ] {
            assert_eq!(own_name(answer.as_bytes()).as_deref(), expected, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_of_the_robot_makes_it_panic(answer in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = robot_answer(&answer);
            let _ = own_name(&answer);
        }
    }
}
