//! The control subjects: a lane of their own, so that no flood of chat holds them up. One task a
//! subscription; nothing is dropped here, what comes too often is one answer.

use tokio::sync::mpsc;

use crate::bus::subscription::{Message, Subscription};
use crate::bus::wire::{ForeignBeat, GroupRestart, RobotLifecycle};
use crate::robot::RobotNotice;

/// What the control subjects bring to the lifecycle.
#[derive(Debug)]
pub enum Notice {
    /// A discovery poll, or the robot's start (REQ-004, REQ-005): who is there?
    Asked,
    /// The group is to be restarted (REQ-008).
    GroupRestart(GroupRestart),
    /// A heartbeat on our own subject, ours or another's.
    Beat(ForeignBeat),
}

/// Which control subject a task listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Discovery polls.
    Poll,
    /// The robot's start.
    RobotStartup,
    /// The robot's connection came up.
    RobotConnected,
    /// The robot's connection went down.
    RobotDisconnected,
    /// Group restarts.
    GroupRestart,
    /// Heartbeats under our name.
    Heartbeat,
}

/// Where the notices go.
#[derive(Clone)]
pub struct Listeners {
    /// The lifecycle.
    pub lifecycle: mpsc::Sender<Notice>,
    /// The watch over the robot.
    pub robot: mpsc::Sender<RobotNotice>,
}

/// Passes on what comes on one control subject until nobody listens any more.
pub async fn listen(control: Control, mut subscription: Subscription, listeners: Listeners) {
    while let Some(message) = subscription.next().await {
        if !pass_on(control, &message, &listeners).await {
            return;
        }
    }
}

/// False when nobody listens any more.
async fn pass_on(control: Control, message: &Message, listeners: &Listeners) -> bool {
    let robot = |connected| {
        let notice = RobotLifecycle::parse(message.payload());
        notice.is_about_cytube().then_some(RobotNotice::CyTube {
            connected,
            domain: notice.domain,
            channel: notice.channel,
        })
    };
    match control {
        Control::Poll => listeners.lifecycle.send(Notice::Asked).await.is_ok(),
        Control::RobotStartup => {
            let _ = listeners.robot.send(RobotNotice::Started).await;
            listeners.lifecycle.send(Notice::Asked).await.is_ok()
        }
        Control::RobotConnected => pass_to_robot(robot(true), listeners).await,
        Control::RobotDisconnected => pass_to_robot(robot(false), listeners).await,
        Control::GroupRestart => {
            let notice = Notice::GroupRestart(GroupRestart::parse(message.payload()));
            listeners.lifecycle.send(notice).await.is_ok()
        }
        Control::Heartbeat => {
            listeners.lifecycle.send(Notice::Beat(ForeignBeat::parse(message.payload()))).await.is_ok()
        }
    }
}

async fn pass_to_robot(notice: Option<RobotNotice>, listeners: &Listeners) -> bool {
    match notice {
        Some(notice) => listeners.robot.send(notice).await.is_ok(),
        None => true,
    }
}
