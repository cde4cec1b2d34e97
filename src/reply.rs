//! One reply, from the plan to its outcome: prompt, provider, check, format, send.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Local;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::bus::{Bus, subjects};
use crate::chat::plan::ReplyPlan;
use crate::chat::prompt::{self, Occasion, Prompt};
use crate::chat::repetition::Wording;
use crate::chat::{answer, format};
use crate::clock::{Clock, Moment};
use crate::context_log::{Context, ContextLog};
use crate::decider::DeciderHandle;
use crate::llm::{Answer, GaveUp, Request, Router};
use crate::metrics::Metrics;
use crate::names::RoomName;
use crate::outbox::{OutboxHandle, Words};
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::response_log::{Course, Record, ResponseLog};
use crate::templates::TemplatesHandle;
use crate::timings::Timings;

/// What every reply needs. Cheap to clone.
#[derive(Clone)]
pub struct ReplyTools {
    /// What prompts are made with.
    pub templates: TemplatesHandle,
    /// When they are made.
    pub clock: Clock,
    /// Where it is written what became of them.
    pub log: ResponseLog,
    /// Where it is counted how they went.
    pub metrics: Metrics,
    /// Where it is remembered what providers were asked, and where that is published.
    pub contexts: ContextLog,
    /// See `contexts`.
    pub bus: Bus,
    /// Who is asked.
    pub router: Router,
    /// Who knows which rooms are paused.
    pub decider: DeciderHandle,
    /// Where the lines go, by room.
    pub outboxes: Arc<HashMap<RoomName, OutboxHandle>>,
    /// Ends the waiting for providers; the outboxes hear it themselves.
    pub give_up: CancellationToken,
}

/// Makes one reply to what came in at `read`, since start. Whatever happens, it ends in exactly one
/// outcome.
pub async fn reply(plan: Box<ReplyPlan>, read: Duration, tools: ReplyTools) -> ReplyEnd {
    let span =
        info_span!("reply", correlation_id = ?plan.correlation_id, room = %plan.room, user = ?plan.user);
    async {
        let began = tools.clock.now().elapsed;
        let timings = Timings { read, decided: began, ..Timings::default() };
        let mut course = Course { timings, ..Course::default() };
        let made = AssertUnwindSafe(make(&plan, &tools, &mut course)).catch_unwind().await;
        let end = made.unwrap_or_else(|_| {
            error!("making a reply panicked; this is a bug, please report it");
            Err(ReplyOutcome::Failed(Reason::Internal))
        });
        let end = end.unwrap_or_else(ReplyEnd::silent);
        tools.log.write(&Record::of_reply(tools.clock.now(), &plan, &course, end));
        if end.outcome == ReplyOutcome::Sent {
            tools.metrics.replied(&Timings { waits: end.waits, ..course.timings });
        }
        let seconds = tools.clock.now().elapsed.saturating_sub(began).as_secs_f64();
        match end.outcome {
            ReplyOutcome::Sent => info!(seconds, "reply sent"),
            ReplyOutcome::Silenced(reason) => info!(seconds, reason = reason.as_str(), "no reply"),
            ReplyOutcome::Failed(reason) => warn!(seconds, reason = reason.as_str(), "reply failed"),
            ReplyOutcome::InDoubt => warn!(seconds, "reply in doubt"),
            ReplyOutcome::Abandoned => warn!(seconds, "reply abandoned"),
        }
        end
    }
    .instrument(span)
    .await
}

/// `course` is told what becomes known on the way.
async fn make(plan: &ReplyPlan, tools: &ReplyTools, course: &mut Course) -> Result<ReplyEnd, ReplyOutcome> {
    #[cfg(feature = "test-hooks")]
    crate::test_hooks::panic("reply", &plan.original);
    let config = plan.config();
    let prompt = course.prompt.insert(prompt(plan, tools).await?);
    let request = request(plan, prompt);
    course.timings.prompted = tools.clock.now().elapsed;
    let ask = tools.router.ask(&request, config.handler_timeout);
    let asked = tokio::select! {
        biased;
        // A pause is silence at once: a call under way is not waited for, and no further one is made.
        () = tools.decider.until_paused(tools.clock, &plan.room) => {
            return Err(ReplyOutcome::Silenced(Reason::Paused));
        }
        asked = tools.give_up.run_until_cancelled(ask) => asked,
    };
    course.timings.answered = tools.clock.now().elapsed;
    let answer = match asked {
        None => return Err(ReplyOutcome::Abandoned),
        Some(Err(GaveUp::Refused)) => return Err(ReplyOutcome::Failed(Reason::Refused)),
        Some(Err(GaveUp::Spent(denied))) => {
            let end = ReplyEnd::silent(ReplyOutcome::Silenced(denied.limit));
            return Ok(ReplyEnd { denied: Some(denied), ..end });
        }
        Some(Err(GaveUp::Exhausted(_))) => return fall_back(plan, tools, course).await,
        Some(Ok(answer)) => course.answer.insert(answer),
    };
    course.timings.reserving = answer.reserving;
    tools.metrics.answered(answer);
    let context = Context::new(tools.clock.now(), plan, prompt, answer);
    let (end, ()) = tokio::join!(respond(plan, tools, answer, &mut course.lines), publish(context, tools));
    end
}

/// Checks, formats and says an answer. `said` is told the lines.
async fn respond(
    plan: &ReplyPlan,
    tools: &ReplyTools,
    answer: &Answer,
    said: &mut Vec<String>,
) -> Result<ReplyEnd, ReplyOutcome> {
    let lines =
        answer::lines(plan, &answer.text, answer.cut_by_token_limit).map_err(ReplyOutcome::Silenced)?;
    said.clone_from(&lines);
    if plan.config().testing.is_silent() {
        info!(provider = %answer.provider, ?lines, "dry run: this would have been said");
        return Err(ReplyOutcome::Silenced(Reason::DryRun));
    }
    let words = Words::Answer(Wording::new(&format::without_thoughts(&answer.text)));
    say(plan, tools, lines, words).await
}

/// Every provider failed: a fallback message is said instead, if they are wanted and the room has not
/// had one within a minute. The reply has failed all the same.
async fn fall_back(
    plan: &ReplyPlan,
    tools: &ReplyTools,
    course: &mut Course,
) -> Result<ReplyEnd, ReplyOutcome> {
    let exhausted = ReplyOutcome::Failed(Reason::Exhausted);
    let lines = answer::fallback_lines(plan, rand::random());
    if lines.is_empty() || plan.config().testing.is_silent() {
        return Err(exhausted);
    }
    let end = say(plan, tools, lines.clone(), Words::Fallback).await?;
    if end.spoken.is_none() {
        return Err(exhausted);
    }
    course.lines = lines;
    Ok(ReplyEnd { outcome: ReplyOutcome::Failed(Reason::Fallback), ..end })
}

async fn say(
    plan: &ReplyPlan,
    tools: &ReplyTools,
    lines: Vec<String>,
    words: Words,
) -> Result<ReplyEnd, ReplyOutcome> {
    let outbox = tools.outboxes.get(&plan.room).ok_or(ReplyOutcome::Failed(Reason::Internal))?;
    Ok(outbox.say(lines, words, plan.correlation_id.clone()).await)
}

/// Remembers what was asked and answered, and publishes it for whoever watches.
async fn publish(context: Context, tools: &ReplyTools) {
    let published = context.published().to_string().into_bytes();
    let correlation_id = context.correlation_id().to_owned();
    tools.contexts.add(context);
    if let Err(error) = tools.bus.publish_about(subjects::CONTEXT_LOG, published, &correlation_id).await {
        debug!(%error, "a context is not published");
    }
}

async fn prompt(plan: &ReplyPlan, tools: &ReplyTools) -> Result<Prompt, ReplyOutcome> {
    let templates = tools.templates.current().await;
    let occasion = occasion(tools.clock.now());
    let (prompt, failures) = prompt::build(plan, &templates, &occasion).map_err(|failure| {
        error!(%failure, "a built-in template failed; this is a bug, please report it");
        ReplyOutcome::Failed(Reason::Internal)
    })?;
    failures.iter().for_each(|failure| tools.templates.failed(failure));
    Ok(prompt)
}

/// When a prompt is made, in the time of this machine.
pub fn occasion(now: Moment) -> Occasion {
    Occasion { local: now.wall.with_timezone(&Local).fixed_offset(), seed: rand::random() }
}

/// What is asked for a plan.
pub fn request(plan: &ReplyPlan, prompt: &Prompt) -> Request {
    Request {
        for_whom: plan.user.clone(),
        correlation_id: plan.correlation_id.clone(),
        system: prompt.system.clone(),
        user: prompt.user.clone(),
        preferred_provider: plan.trigger.preferred_provider.clone(),
    }
}
