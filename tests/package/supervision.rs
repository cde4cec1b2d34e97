//! The unit at work under a real systemd, with all its walls.

use kryten_testkit::world::SOON;
use kryten_testkit::{Behaviour, Result};
use serde_json::json;

use crate::has;
use crate::operator::{Operator, RESPONSES};

const STATUS: &str = "StatusText";

/// Runs a line of shell as the service's user, with the files as the service sees them.
fn inside(operator: &Operator, line: &str) -> Result<String> {
    let pid = operator.property("MainPID")?;
    let user = "setpriv --reuid kryten-llm --regid kryten-llm --clear-groups";
    operator.machine.shell(&format!("nsenter --target {pid} --mount {user} bash -c '{line}'"))
}

#[tokio::test]
async fn it_answers_and_logs_while_nothing_but_its_own_folders_can_be_written() -> Result {
    let Some(operator) = Operator::start("the unit's walls").await? else { return Ok(()) };
    operator.enable("")?;
    let machine = &operator.machine;
    machine.wait_for("systemctl show -p StatusText kryten-llm | grep -qx StatusText=healthy", SOON).await?;
    operator.provider.always(Behaviour::Answer("From behind walls.".to_owned()));
    assert_eq!(operator.ask("can you hear me?").await?.text, "From behind walls.");
    machine.wait_for(&format!("grep -q 'From behind walls' {RESPONSES}"), SOON).await?;

    for folder in ["/var/log/kryten-llm", "/var/lib/kryten-llm", "/tmp"] {
        inside(&operator, &format!("touch {folder}/a-file"))?;
    }
    let pid = operator.property("MainPID")?;
    for folder in
        ["/", "/etc", "/etc/kryten-llm", "/home", "/root", "/srv", "/usr/bin", "/var/lib", "/var/log"]
    {
        // As root, so that no owner and no mode stands in the way: it is the file system that refuses.
        let tried = machine.shell(&format!("nsenter --target {pid} --mount touch {folder}/a-file"));
        let refused = tried.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("Read-only file system"), "{folder} can be written: {refused}");
    }
    assert!(inside(&operator, "touch /run/a-file").is_err());
    let status = machine.shell(&format!("cat /proc/{pid}/status"))?;
    for wall in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|line| line == wall), "{wall}\n{status}");
    }
    let user = machine.shell("id -u kryten-llm")?;
    assert!(status.lines().any(|line| line == format!("Uid:\t{user}\t{user}\t{user}\t{user}")), "{status}");

    // The key came by a credential and stands nowhere else.
    let request = operator.provider.wait_for_request(kryten_testkit::Mark::START, SOON, |_| true).await?;
    assert_eq!(request.header("authorization"), Some("Bearer a-key-that-only-a-credential-holds"));
    machine.shell("! journalctl --no-pager | grep a-key-that-only")?;
    machine.shell(&format!("! tr '\\0' '\\n' </proc/{pid}/environ | grep a-key-that-only"))?;

    reload(&operator).await?;
    assert_eq!(operator.property("MainPID")?, pid, "a reload is no restart");

    // The journal knows how grave each line is, and has times of its own.
    let warned = "journalctl --no-pager --output cat --unit kryten-llm --priority warning..warning";
    operator.provider.always(Behaviour::Status(500, "{}".to_owned()));
    operator.robot.chat("bob", "Cynthia, and now?").await?;
    let warning = machine.wait_for(&format!("{warned} | grep 'the provider failed'"), SOON).await?;
    assert!(warning.starts_with(" WARN ") || warning.starts_with("WARN "), "{warning}");
    machine.shell(
        "journalctl --no-pager --output cat -t kryten-llm --priority info | grep -q 'INFO announced'",
    )?;
    machine.shell(&format!("! {warned} | grep 'INFO'"))?;

    // The stop is told, graceful, and leaves nothing.
    machine.run("systemctl", ["stop", "kryten-llm"])?;
    assert_eq!(operator.property("Result")?, "success");
    let bye = operator.recorder.wait_for("kryten.lifecycle.*.shutdown", SOON, |_| true).await?;
    assert_eq!(bye.text("/reason"), "SIGTERM");
    Ok(())
}

/// A changed config is taken up; one that can't be used changes nothing, and the status says so.
async fn reload(operator: &Operator) -> Result {
    let machine = &operator.machine;
    let has_status =
        |status: &str| format!("systemctl show -p {STATUS} kryten-llm | grep -qx '{STATUS}={status}'");
    let mut config = operator.config.clone();
    config["personality"]["response_style"] = json!("like a pirate");
    operator.configure(&config)?;
    machine.run("systemctl", ["reload", "kryten-llm"])?;
    machine.wait_for("journalctl --no-pager --output cat -t kryten-llm | grep 'like a pirate'", SOON).await?;
    operator.configure(&json!({ "channels": 7 }))?;
    machine.run("systemctl", ["reload", "kryten-llm"])?;
    machine.wait_for(&has_status(".*unhealthy: .*config.*"), SOON).await?;
    operator.configure(&config)?;
    machine.run("systemctl", ["reload", "kryten-llm"])?;
    operator.provider.always(Behaviour::Answer("Arr, all hands on deck.".to_owned()));
    assert_eq!(operator.ask("are you the same?").await?.text, "Arr, all hands on deck.");
    machine.wait_for(&format!("! {}", has_status(".*config.*")), SOON).await?;
    Ok(())
}

#[tokio::test]
async fn systemd_starts_again_what_may_mend_and_leaves_alone_what_does_not() -> Result {
    let Some(mut operator) = Operator::start("restarts").await? else { return Ok(()) };
    operator.enable("WatchdogSec=2\\nRestartSec=100ms")?;
    let restarted = async |operator: &Operator, count: u32| {
        let line = format!(
            "systemctl show -p NRestarts -p ActiveState kryten-llm | sort | tr '\\n' ' ' \
             | grep -qx 'ActiveState=active NRestarts={count} '"
        );
        operator.machine.wait_for(&line, SOON).await
    };
    // Killed.
    operator.machine.run("systemctl", ["kill", "--signal=KILL", "kryten-llm"])?;
    restarted(&operator, 1).await?;
    // Stopped in its tracks: the watchdog bites. (SIGABRT waits until it moves again.)
    operator.machine.shell(
        "systemctl kill --signal=STOP kryten-llm; sleep 2.5; systemctl kill --signal=CONT kryten-llm",
    )?;
    restarted(&operator, 2).await?;
    let log = operator.machine.run("journalctl", ["--no-pager", "--unit", "kryten-llm"])?;
    assert!(log.contains("Watchdog timeout"), "{log}");
    // A loop that stands still, while all else goes on.
    operator.robot.chat("bob", "test-hook stall decider 30").await?;
    restarted(&operator, 3).await?;
    // A group restart ends it with 0.
    operator.robot.publish("kryten.lifecycle.group.restart", json!({ "delay_seconds": 0 })).await?;
    restarted(&operator, 4).await?;
    operator.ask("are you there again?").await?;

    // A config that can't be used stays a failure.
    operator.config["nats"]["servers"] = json!([]);
    operator.configure(&operator.config)?;
    assert!(operator.machine.run("systemctl", ["restart", "kryten-llm"]).is_err());
    assert_eq!(operator.property("ActiveState")?, "failed");
    assert_eq!(operator.property("ExecMainStatus")?, "78");
    Ok(())
}

#[tokio::test]
async fn the_start_waits_for_nats_beyond_its_time() -> Result {
    let Some(mut operator) = Operator::start("a start without NATS").await? else { return Ok(()) };
    let right = operator.config.clone();
    operator.config["nats"]["servers"] = json!(["nats://localhost:1"]);
    operator.configure(&operator.config)?;
    // Its time is two seconds, in which a busy machine has it up, and it waits for six.
    operator.machine.shell(
        "mkdir -p /etc/systemd/system/kryten-llm.service.d
        printf '[Service]\\nTimeoutStartSec=2\\nRestartSec=100ms\\nLoadCredential=first.key:/etc/hostname\\n' \
            >/etc/systemd/system/kryten-llm.service.d/own.conf
        systemctl daemon-reload
        systemctl start --no-block kryten-llm",
    )?;
    let waiting = "starting; failing: NATS disconnected";
    operator
        .machine
        .wait_for(&format!("systemctl show -p {STATUS} kryten-llm | grep -qx '{STATUS}={waiting}'"), SOON)
        .await?;
    let waits = "ps -o etimes= -p $(systemctl show --value -p MainPID kryten-llm) | awk '$1 >= 6 { old = 1 } END { exit !old }'";
    operator.machine.wait_for(waits, SOON).await?;
    assert_eq!(operator.property("ActiveState")?, "activating");
    assert_eq!(operator.property("NRestarts")?, "0");
    operator.configure(&right)?;
    operator.machine.run("systemctl", ["restart", "kryten-llm"])?;
    assert_eq!(operator.property("ActiveState")?, "active");
    Ok(())
}

#[tokio::test]
async fn logrotate_turns_the_response_log_over_and_no_answer_is_lost() -> Result {
    if !has("logrotate", "the rotation of the response log") {
        return Ok(());
    }
    let Some(operator) = Operator::start("the rotation of the response log").await? else { return Ok(()) };
    operator.enable("")?;
    let machine = &operator.machine;
    for number in 1..=3 {
        operator.provider.always(Behaviour::Answer(format!("Answer number {number}.")));
        operator.ask("once more?").await?;
        machine.wait_for(&format!("grep -q 'Answer number {number}' {RESPONSES}"), SOON).await?;
        machine.shell("logrotate --force /etc/logrotate.d/kryten-llm")?;
    }
    let kept = machine.shell(&format!("cat {RESPONSES}.1; zcat {RESPONSES}.2.gz {RESPONSES}.3.gz"))?;
    let answers: Vec<&str> = kept.lines().filter(|line| line.contains("Answer number")).collect();
    assert_eq!(answers.len(), 3, "{kept}");
    for line in answers {
        let entry: serde_json::Value = serde_json::from_str(line)
            .map_err(|error| kryten_testkit::Error::new(format!("{error}: half a line was kept: {line}")))?;
        assert!(entry.is_object());
    }
    let owned = machine.shell(&format!("stat -c '%a %U:%G' {RESPONSES}.1"))?;
    assert_eq!(owned, "640 kryten-llm:kryten-llm");
    Ok(())
}
