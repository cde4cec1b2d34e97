//! An operator with a machine: the package installed there, configured for neighbours that run here.

use std::path::PathBuf;

use kryten_testkit::machine::Machine;
use kryten_testkit::robot::Said;
use kryten_testkit::world::{BOT, SOON};
use kryten_testkit::{
    Context as _, Manner, Provider, Recorder, Result, Robot, Room, chat, config, nats::Server,
};
use serde_json::{Value, json};

use crate::{BINARY, machine, run};

pub const CONFIG: &str = "/etc/kryten-llm/config.json";
pub const RESPONSES: &str = "/var/log/kryten-llm/responses.jsonl";
/// The provider's key, which only a credential holds.
const KEY: &str = "a-key-that-only-a-credential-holds";

/// The machine and its neighbours.
pub struct Operator {
    pub machine: Machine,
    pub robot: Robot,
    pub recorder: Recorder,
    pub provider: Provider,
    pub config: Value,
    _server: Server,
}

impl Operator {
    /// Boots a machine and installs the package; none where no machine can be had.
    pub async fn start(what: &str) -> Result<Option<Operator>> {
        let operator = Self::with_nothing_installed(what).await?;
        operator.iter().try_for_each(|operator| operator.install("0.1.0").map(drop))?;
        Ok(operator)
    }

    /// Boots a machine with neighbours for the bot; none where no machine can be had.
    pub async fn with_nothing_installed(what: &str) -> Result<Option<Operator>> {
        let Some(machine) = machine(what).await? else { return Ok(None) };
        let server = Server::start().await?;
        let rooms = [Room::new("cytu.be", "Lounge")];
        let recorder = Recorder::start(&server).await?;
        let robot = Robot::start(server.client().await?, &rooms, BOT, Manner::Echoes).await?;
        let provider = Provider::start().await?;
        let mut config = config::base(&server, &rooms, std::slice::from_ref(&provider));
        // By name, since that takes other system calls.
        config["nats"]["servers"] = json!([format!("nats://localhost:{}", server.address().port())]);
        config["testing"] = json!({ "log_file": RESPONSES });
        config["llm_providers"]["first"]["api_key"] = Value::Null;
        config["llm_providers"]["first"]["api_key_file"] = json!("first.key");
        Ok(Some(Operator { machine, robot, recorder, provider, config, _server: server }))
    }

    /// Makes a package of this version and installs it.
    pub fn install(&self, version: &str) -> Result<String> {
        let shared: PathBuf = self.machine.shared();
        let package = run("scripts/deb.sh", &[BINARY, &shared.display().to_string(), version])?;
        let name = package.rsplit('/').next().unwrap_or_default();
        self.machine.run("dpkg", ["--install", &format!("/srv/{name}")])
    }

    /// Writes the config as an editor does: into the file that is there.
    pub fn configure(&self, config: &Value) -> Result {
        let path = self.machine.shared().join("config.json");
        std::fs::write(path, format!("{config:#}\n")).context("writing the config")?;
        self.machine.shell(&format!("cat /srv/config.json >{CONFIG}")).map(drop)
    }

    /// Configures it, adds `service` to the unit, and starts it: systemd waits until it is ready.
    pub fn enable(&self, service: &str) -> Result {
        self.configure_with_key(service)?;
        self.machine.run("systemctl", ["enable", "--now", "kryten-llm"]).map(drop)
    }

    /// Configures it, and adds `service` to the unit.
    pub fn configure_with_key(&self, service: &str) -> Result {
        self.configure(&self.config)?;
        self.machine.shell(&format!(
            "mkdir -p /etc/kryten-llm/secrets /etc/systemd/system/kryten-llm.service.d
            (umask 077; echo {KEY} >/etc/kryten-llm/secrets/first.key)
            printf '[Service]\\nLoadCredential=first.key:/etc/kryten-llm/secrets/first.key\\n{service}\\n' \
                >/etc/systemd/system/kryten-llm.service.d/own.conf
            systemctl daemon-reload"
        ))?;
        Ok(())
    }

    /// A property of the unit.
    pub fn property(&self, name: &str) -> Result<String> {
        self.machine.run("systemctl", ["show", "--value", "--property", name, "kryten-llm"])
    }

    /// Somebody mentions the bot, and its answer is awaited.
    pub async fn ask(&self, text: &str) -> Result<Said> {
        let mark = self.robot.says.mark();
        self.robot.chat("bob", &chat::escape(&format!("{} {text}", config::CHARACTER))).await?;
        self.robot.wait_for_say(mark, SOON, |_| true).await
    }
}
