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

/// A service said goodbye.
pub fn lifecycle_shutdown(service: &str) -> String {
    format!("kryten.lifecycle.{service}.shutdown")
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
}
