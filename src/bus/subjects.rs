//! Every subject that we publish on or listen to.
//!
//! `service` is the service's name as a token (see [`crate::names::service_token`]), `room` a
//! room's token.

/// Who is there: our answer to [`DISCOVERY_POLL`], and what we say unasked.
pub const DISCOVERY: &str = "kryten.service.discovery";
/// Somebody asks who is there.
pub const DISCOVERY_POLL: &str = "kryten.service.discovery.poll";
/// The robot started; it asks who is there.
pub const ROBOT_STARTUP: &str = "kryten.lifecycle.robot.startup";
/// One of the robot's connections came up.
pub const ROBOT_CONNECTED: &str = "kryten.lifecycle.robot.connected";
/// One of the robot's connections went away.
pub const ROBOT_DISCONNECTED: &str = "kryten.lifecycle.robot.disconnected";
/// Every service of the group is to restart.
pub const GROUP_RESTART: &str = "kryten.lifecycle.group.restart";
/// Where the robot takes commands.
pub const ROBOT_COMMAND: &str = "kryten.robot.command";
/// Commands to whatever bot listens, as ever.
pub const LLM_COMMAND: &str = "kryten.llm.command";
/// What a provider was asked and what it answered.
pub const CONTEXT_LOG: &str = "kryten.llm.context.log";

/// The beats of every service.
pub const ALL_HEARTBEATS: &str = "kryten.service.heartbeat.*";
/// What every service says of its life: starts, short beats, farewells, and more.
pub const ALL_LIFECYCLES: &str = "kryten.lifecycle.*.*";

/// Every event of a room.
pub fn events(room: &str) -> String {
    format!("kryten.events.cytube.{room}.>")
}

/// A service's beats.
pub fn heartbeat(service: &str) -> String {
    format!("kryten.service.heartbeat.{service}")
}

/// A service started.
pub fn lifecycle_startup(service: &str) -> String {
    format!("kryten.lifecycle.{service}.startup")
}

/// A service's beats, as registries read them.
pub fn lifecycle_heartbeat(service: &str) -> String {
    format!("kryten.lifecycle.{service}.heartbeat")
}

/// A state of a service has held, or has been left for as long.
pub fn alert(service: &str) -> String {
    format!("kryten.alert.{service}")
}

/// A service said goodbye.
pub fn lifecycle_shutdown(service: &str) -> String {
    format!("kryten.lifecycle.{service}.shutdown")
}

/// What a message of a service is a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It started, or says again that it is there.
    Startup,
    /// A beat with everything that it says of its health.
    Beat,
    /// A beat for registries, which says less.
    ShortBeat,
    /// It said goodbye.
    Shutdown,
}

/// Which service a subject under [`ALL_HEARTBEATS`] or [`ALL_LIFECYCLES`] is of, and the sign.
pub fn sign(subject: &str) -> Option<(&str, Sign)> {
    if let Some(service) = subject.strip_prefix("kryten.service.heartbeat.") {
        return Some((service, Sign::Beat));
    }
    let (service, event) = subject.strip_prefix("kryten.lifecycle.")?.split_once('.')?;
    let sign = match event {
        "startup" => Sign::Startup,
        "heartbeat" => Sign::ShortBeat,
        "shutdown" => Sign::Shutdown,
        _ => return None,
    };
    Some((service, sign))
}

/// One event of a room, as the robot passes it on.
pub fn room_event(room: &str, event: &str) -> String {
    format!("kryten.events.cytube.{room}.{event}")
}

/// Commands to one service.
pub fn command(service: &str) -> String {
    format!("kryten.{service}.command")
}

/// Where the robot of a room says under which name it is there. The names stand in it as they
/// were configured, so there is none for names that can't stand in a subject.
pub fn user_level(domain: &str, channel: &str) -> Option<String> {
    let fits = |name: &str| {
        let is_special =
            |character: char| character.is_whitespace() || character.is_control() || "*>".contains(character);
        !name.contains(is_special) && name.split('.').all(|token| !token.is_empty())
    };
    (fits(domain) && fits(channel)).then(|| format!("kryten.user_level.{domain}.{channel}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_that_others_know() {
        for (subject, expected) in [
            (events("movie-night"), "kryten.events.cytube.movie-night.>"),
            (heartbeat("llm"), "kryten.service.heartbeat.llm"),
            (lifecycle_startup("llm"), "kryten.lifecycle.llm.startup"),
            (lifecycle_heartbeat("llm"), "kryten.lifecycle.llm.heartbeat"),
            (lifecycle_shutdown("llm"), "kryten.lifecycle.llm.shutdown"),
            (alert("llm"), "kryten.alert.llm"),
            (command("vera"), "kryten.vera.command"),
            (DISCOVERY.to_owned(), "kryten.service.discovery"),
            (DISCOVERY_POLL.to_owned(), "kryten.service.discovery.poll"),
            (ROBOT_STARTUP.to_owned(), "kryten.lifecycle.robot.startup"),
            (ROBOT_CONNECTED.to_owned(), "kryten.lifecycle.robot.connected"),
            (ROBOT_DISCONNECTED.to_owned(), "kryten.lifecycle.robot.disconnected"),
            (GROUP_RESTART.to_owned(), "kryten.lifecycle.group.restart"),
            (ROBOT_COMMAND.to_owned(), "kryten.robot.command"),
            (LLM_COMMAND.to_owned(), "kryten.llm.command"),
            (CONTEXT_LOG.to_owned(), "kryten.llm.context.log"),
        ] {
            assert_eq!(subject, expected);
        }
    }

    #[test]
    fn a_user_level_subject_keeps_case_and_dots_and_refuses_what_no_subject_holds() {
        assert_eq!(
            user_level("cytu.be", "MovieNight").as_deref(),
            Some("kryten.user_level.cytu.be.MovieNight")
        );
        for (domain, channel) in [
            ("cytu.be", "movie night"),
            ("cytu.be", ""),
            ("", "room"),
            ("cytu..be", "room"),
            (".be", "room"),
            ("*", "room"),
            ("cytu.be", ">"),
            ("cytu.be", "a\r\nPUB x"),
            ("cytu.be", "a\u{7f}"),
        ] {
            assert_eq!(user_level(domain, channel), None, "{domain} {channel}");
        }
    }

    #[test]
    fn a_sign_of_life_names_its_service() {
        for (subject, expected) in [
            (heartbeat("llm"), Some(("llm", Sign::Beat))),
            (lifecycle_heartbeat("llm"), Some(("llm", Sign::ShortBeat))),
            (lifecycle_startup("robot"), Some(("robot", Sign::Startup))),
            (lifecycle_shutdown("robot"), Some(("robot", Sign::Shutdown))),
            (ROBOT_CONNECTED.to_owned(), None),
            (GROUP_RESTART.to_owned(), None),
            ("kryten.lifecycle.llm".to_owned(), None),
            (DISCOVERY.to_owned(), None),
        ] {
            assert_eq!(sign(&subject), expected, "{subject}");
        }
        assert_eq!(room_event("room", "chatmsg"), "kryten.events.cytube.room.chatmsg");
    }
}
