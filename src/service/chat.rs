//! Chat as it is wired: intake → queue per room → decider → reply tasks → outbox per room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::parts::Common;
use crate::bus::link::LinkKeeper;
use crate::bus::subjects;
use crate::decider::{DeciderHandle, DeciderLoop, RoomQueue};
use crate::intake::Intake;
use crate::llm::{ProvidersView, Router};
use crate::names::RoomName;
use crate::ops::commands::Pauses;
use crate::ops::figures::{Figures, OfDecider, Queues};
use crate::ops::remembered::Remembered;
use crate::outbox::{Outbox, OutboxHandle, Tools};
use crate::reply::ReplyTools;
use crate::response_log::ResponseLog;
use crate::robot::{RobotNotice, RobotWatch, RoomRobot};
use crate::room_state::{RoomState, RoomStateParts};
use crate::spend_book::SpendBook;
use crate::tasks::{Task, spawn};
use crate::templates::TemplatesTask;

/// The tasks of chat, and what others need of them.
pub(super) struct Chat {
    /// Intakes, decider, what outlives us of the rooms, outboxes, provider checks, spend writer, response log: in the order
    /// in which they end.
    pub tasks: Vec<Task>,
    pub decider: DeciderHandle,
    /// Which rooms are paused.
    pub pauses: Pauses,
    /// What is known of the providers, and what they cost.
    pub providers: ProvidersView,
    /// Whether the decider knows all that can be known of the rooms at our start.
    pub state_loaded: watch::Receiver<bool>,
    /// To be run as long as there is a link.
    pub robot_watch: RobotWatch,
    /// Reads the operator's templates.
    pub templates: BoxFuture<'static, ()>,
    /// What scrapes are made of.
    pub figures: Figures,
    /// Opens the connections to the providers.
    pub warm_up: BoxFuture<'static, ()>,
}

impl Chat {
    pub(super) fn start(
        common: &Common,
        keeper: &mut LinkKeeper,
        robot_notices: mpsc::Receiver<RobotNotice>,
    ) -> Self {
        let Common { config, in_force, contexts, identity, clock, health, metrics, bus, shutdown } = common;
        let (spend, spend_writer) = SpendBook::open(config, *clock);
        let (room_state, memory) = RoomState::new();
        let pauses = Pauses::new(config.rooms.clone(), &config.state_dir);
        let (mut decider_loop, decider, queues) =
            DeciderLoop::new(in_force.clone(), spend.clone(), *clock, health.clone(), memory);
        pauses.restore(clock.now(), decider_loop.decider(), health);
        let (robot_watch, robots) = RobotWatch::new(
            &config.rooms,
            bus.clone(),
            *clock,
            health.clone(),
            decider.clone(),
            robot_notices,
        );
        let (outboxes, handles) = outboxes(
            robots,
            &Tools {
                in_force: in_force.clone(),
                identity: identity.clone(),
                bus: bus.clone(),
                clock: *clock,
                health: health.clone(),
                decider: decider.clone(),
                stop_taking: shutdown.stop_taking.clone(),
                give_up: shutdown.give_up.clone(),
            },
        );
        let router = Router::new(config, spend, health.clone(), *clock);
        let (providers, checks) = (router.view(), router.checks());
        let warm_up = router.warm_up().boxed();
        let (template_reader, templates) = TemplatesTask::new(&config.templates, *clock, health.clone());
        let (log, log_writer) = ResponseLog::new(&config.testing, *clock, health.clone());
        let figures = Figures {
            identity: identity.clone(),
            in_force: in_force.clone(),
            contexts: contexts.clone(),
            health: health.clone(),
            clock: *clock,
            bus: bus.clone(),
            metrics: metrics.clone(),
            providers: providers.clone(),
            asking: Remembered::new(decider.clone()),
            queues: Queues {
                rooms: queues.iter().map(|(_, queue)| queue.depth()).collect(),
                outboxes: handles.values().map(OutboxHandle::view).collect(),
                response_log: log.depth(),
                notes: decider.depth(),
            },
            remembered: Arc::new(Mutex::new(OfDecider::default())),
        };
        let tools = ReplyTools {
            templates,
            clock: *clock,
            log,
            metrics: metrics.clone(),
            contexts: contexts.clone(),
            bus: bus.clone(),
            router,
            decider: decider.clone(),
            outboxes: Arc::new(handles),
            give_up: shutdown.give_up.clone(),
        };

        let mut tasks = intakes(common, queues, keeper);
        tasks.push(spawn("decider", shutdown, decider_loop.run(tools, shutdown.clone())));
        let (loaded, state_loaded) = watch::channel(false);
        let parts = RoomStateParts {
            config: config.clone(),
            bus: bus.clone(),
            clock: *clock,
            decider: decider.clone(),
            loaded,
            stop_taking: shutdown.stop_taking.clone(),
        };
        tasks.push(spawn("room state", shutdown, room_state.run(parts)));
        tasks.extend(outboxes.into_iter().map(|outbox| spawn("outbox", shutdown, outbox.run())));
        let checks = shutdown.stop_taking.clone().run_until_cancelled_owned(checks.run());
        tasks.push(spawn("provider checks", shutdown, checks.map(|_| ())));
        tasks.push(spawn("spend writer", shutdown, spend_writer.run()));
        tasks.extend(log_writer.map(|writer| spawn("response log", shutdown, writer.run())));
        Self {
            tasks,
            decider,
            pauses,
            providers,
            state_loaded,
            robot_watch,
            templates: template_reader.run().boxed(),
            figures,
            warm_up,
        }
    }
}

/// One intake for all rooms whose names are equal as tokens.
fn intakes(common: &Common, queues: Vec<(RoomName, RoomQueue)>, keeper: &mut LinkKeeper) -> Vec<Task> {
    let Common { config, clock, health, shutdown, .. } = common;
    let mut by_token: BTreeMap<String, Vec<(RoomName, RoomQueue)>> = BTreeMap::new();
    for (room, queue) in queues {
        by_token.entry(room.token().to_owned()).or_default().push((room, queue));
    }
    by_token
        .into_iter()
        .map(|(token, rooms)| {
            let subscription = keeper.subscribe(subjects::events(&token), config.limits.max_event_bytes);
            let intake = Intake::new(rooms, config.limits.max_event_bytes, *clock, health.clone());
            spawn("intake", shutdown, intake.run(subscription, shutdown.stop_taking.clone()))
        })
        .collect()
}

fn outboxes(
    robots: HashMap<RoomName, RoomRobot>,
    tools: &Tools,
) -> (Vec<Outbox>, HashMap<RoomName, OutboxHandle>) {
    robots
        .into_iter()
        .map(|(room, robot)| {
            let (outbox, handle) = Outbox::new(room.clone(), tools.clone(), robot);
            (outbox, (room, handle))
        })
        .unzip()
}
