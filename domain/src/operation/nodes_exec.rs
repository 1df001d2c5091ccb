//! Starting what nodes stand for.
use std::time::Duration;

use dmwsi_objects::{Answer, Command, Format, GenericAlert, NodeUri, StatusCode, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::{check_node, check_value, value};
use super::patience::Patience;
use super::tally::{Tally, Words};
use super::{Context, EndWord, Input, Next, NodeOutcome, NodeResult, Phase, StatusNumber, Step, Told, too_many};
use crate::correlator::Correlator;
use crate::evidence::Fact;
use crate::profile::AlertOrder;
use crate::{Error, Result, Timestamp};

/// The most commands of one operation.
const MAX_EXECS: usize = 20;

/// The longest that a report is waited for, in seconds: 30 days.
const MAX_REPORT: u32 = 30 * 86_400;

const WORDS: Words = Words {
    phase: Phase { name: "EXECUTING", progress: 30 },
    all: EndWord::EXECUTED,
    some: EndWord::PARTLY_EXECUTED,
    none: EndWord::NOT_EXECUTED,
};

/// The device is at it, and will report.
const REPORTING: Phase = Phase { name: "REPORTING", progress: 70 };

/// What to start.
///
/// How it ends:
///
/// * `EXECUTED`: the device said of each command that it is done or, where a report was asked for, reported that it is.
/// * `STARTED`: the device said of some that they have begun, and no report was asked for.
/// * `PARTLY_EXECUTED`: some succeeded. It has failed, and the results say which did not, and why.
/// * `NOT_EXECUTED`: none did.
/// * `REPORT_MISSING`: the device has begun and did not report in time, or its answer was lost and no report came.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"nodes": [{"node": "./Vendor/Test/Task", "value": "fast"}], "reportWithinSeconds": 3600}))]
pub struct NodesExecRequest {
    /// The commands, 1 to 20, in the order in which they are sent.
    #[schema(min_items = 1, max_items = 20)]
    pub nodes: Vec<NodeExec>,
    /// For how long the device's report is waited for, an alert with the correlator of the command or from its node, once the device has said
    /// that it has begun; 1 second to 30 days. When absent, a command that has begun is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub report_within_seconds: Option<u32>,
}

/// What one command starts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"node": "./Vendor/Test/Task", "value": "fast"}))]
pub struct NodeExec {
    /// The node.
    #[schema(value_type = String, max_length = 1024)]
    pub node: NodeUri,
    /// The format of the argument: `chr` when absent.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8)]
    pub format: Format,
    /// The media type of the argument.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// The argument as text, `bin` and `b64` as base64, at most 64 KiB; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub value: Option<String>,
}

impl NodesExecRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_EXECS).contains(&self.nodes.len()) {
            return Err(too_many("/nodes", MAX_EXECS));
        }
        if self.report_within_seconds.is_some_and(|seconds| !(1..=MAX_REPORT).contains(&seconds)) {
            return Err(Error::invalid("/reportWithinSeconds", "OUT_OF_RANGE", "must be 1 second to 30 days"));
        }
        for (at, exec) in self.nodes.iter().enumerate() {
            let pointer = format!("/nodes/{at}");
            check_node(&format!("{pointer}/node"), &exec.node)?;
            check_value(&pointer, exec.format, exec.value.as_deref())?;
        }
        Ok(())
    }
}

/// Starts what nodes stand for. A command is never sent twice: where its answer was lost, only the device's report tells what came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesExec {
    version: u8,
    execs: Vec<Exec>,
    /// In seconds.
    report_within: Option<u32>,
    /// The device said of one that it has begun, and no report is waited for.
    #[serde(default)]
    started: bool,
    tally: Tally,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    exec: NodeExec,
    /// By which its correlator differs from those of the others.
    step: u8,
    /// What the device reported; some report before they answer.
    #[serde(default)]
    report: Option<Report>,
    /// It was sent, and is not sent again.
    #[serde(default)]
    sent: bool,
    /// It is out, and its answer is to come.
    #[serde(default)]
    out: bool,
    /// What the device answered, unless that was lost.
    #[serde(default)]
    status: Option<StatusNumber>,
    #[serde(default)]
    busy: Patience,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    value: Value,
    is_fault: bool,
}

impl Exec {
    fn command(&self, cx: &Context<'_>) -> Command {
        let NodeExec { node, format, media_type, value: text } = &self.exec;
        let correlator = Correlator { step: self.step, ..cx.correlator };
        Command::Exec {
            target: node.clone(),
            correlator: Some(correlator.to_string()),
            value: text.as_ref().map(|text| value(*format, media_type.as_ref(), Some(text))),
        }
    }

    /// Whether the alert is about it: by its correlator or, where it has none, by where it comes from.
    fn is_meant(&self, alert: &GenericAlert, cx: &Context<'_>) -> bool {
        match alert.correlator.as_deref().map(str::parse::<Correlator>) {
            Some(Ok(named)) => named == Correlator { step: self.step, ..cx.correlator },
            Some(Err(_foreign)) => false,
            None => {
                let source = alert.source.as_ref();
                self.report.is_none()
                    && source.is_some_and(|source| self.exec.node.is_within(source) && source != &NodeUri::root())
            }
        }
    }

    fn result(&self) -> NodeResult {
        let mut result = NodeResult::of(&Answer {
            status: self.status.map(StatusCode),
            ..Answer::unheard(Command::Exec { target: self.exec.node.clone(), correlator: None, value: None })
        });
        if let Some(report) = &self.report {
            result.outcome = if report.is_fault { NodeOutcome::FaultReported } else { NodeOutcome::Reported };
            result.value = Some(report.value.clone());
        }
        result
    }
}

impl NodesExec {
    pub(super) fn begin(request: NodesExecRequest) -> Self {
        let exec =
            |(exec, step)| Exec { exec, step, report: None, sent: false, out: false, status: None, busy: Patience::default() };
        Self {
            version: 1,
            execs: request.nodes.into_iter().zip(1..).map(exec).collect(),
            report_within: request.report_within_seconds,
            started: false,
            tally: Tally::default(),
        }
    }

    pub(super) fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(told) => self.told(told, cx),
            Input::Answers(answers) => self.answered(answers),
            Input::TimedOut => self.timed_out(),
            Input::Turn if self.waits_to_send() => {
                self.execs.iter_mut().filter(|exec| !exec.sent).for_each(|exec| exec.out = true);
                Step::send(WORDS.phase, self.commands(cx))
            }
            Input::Turn => self.settle(Step::default()),
        }
    }

    /// Until when the device need not be called: it reports by itself.
    pub(super) fn rests_until(&self, said: Timestamp) -> Option<Timestamp> {
        let seconds = self.report_within.filter(|_| !self.waits_to_send())?;
        Some(said.plus(Duration::from_secs(seconds.into())))
    }

    /// Whether a report is waited for of something that was begun.
    pub(super) fn awaits_report(&self) -> bool {
        self.report_within.is_some() && self.execs.iter().any(|exec| exec.sent)
    }

    fn waits_to_send(&self) -> bool {
        self.execs.iter().any(|exec| !exec.sent)
    }

    fn commands(&self, cx: &Context<'_>) -> Vec<Command> {
        self.execs.iter().filter(|exec| !exec.sent).map(|exec| exec.command(cx)).collect()
    }

    fn told(&mut self, Told { alert, begun }: Told<'_>, cx: &Context<'_>) -> Step {
        if self.report_within.is_none() {
            return Step::default();
        }
        // Without a correlator it can only be about something that was begun: where the device tells before it answers, what is out may be.
        let is_early = cx.facts.traits.alert_order == Some(AlertOrder::BeforeStatus);
        let mut places = 0_usize..;
        let meant = self.execs.iter_mut().find(|exec| {
            let place = if exec.sent { None } else { places.next() };
            let has_begun = || exec.sent || exec.out && (is_early || place.is_some_and(|place| begun.contains(&place)));
            (alert.correlator.is_some() || has_begun()) && exec.is_meant(alert, cx)
        });
        let Some(exec) = meant else { return Step::default() };
        exec.report = Some(Report { value: alert.value.clone(), is_fault: alert.is_fault() });
        self.settle(Step { facts: vec![Fact::alert(alert)], ..Step::default() })
    }

    fn answered(&mut self, answers: &[Answer]) -> Step {
        let mut step = Step::default();
        let mut answers = answers.iter();
        for exec in self.execs.iter_mut().filter(|exec| !exec.sent) {
            let Some(answer) = answers.next() else { break };
            step.facts.push(Fact::answer(answer));
            let outcome = NodeOutcome::of(answer.status);
            let is_over = !exec.busy.waits(outcome);
            (exec.sent, exec.out) = (is_over, false);
            exec.status = answer.status.filter(|_| is_over).map(|status| status.0);
        }
        self.settle(step)
    }

    /// Takes out what is over, and decides what comes next.
    fn settle(&mut self, mut step: Step) -> Step {
        let awaits = self.report_within.is_some();
        for exec in std::mem::take(&mut self.execs) {
            let result = exec.result();
            let may_report = matches!(result.outcome, NodeOutcome::AnswerLost | NodeOutcome::Started);
            if !exec.sent || awaits && may_report {
                self.execs.push(exec);
                continue;
            }
            self.started |= result.outcome == NodeOutcome::Started;
            self.tally.count(result.outcome);
            step.results.push(result);
        }
        step.next = if self.execs.is_empty() {
            self.end()
        } else if self.waits_to_send() {
            Next::Rest(WORDS.phase, None)
        } else {
            Next::Rest(REPORTING, self.report_within.map(|seconds| Duration::from_secs(seconds.into())))
        };
        step
    }

    fn end(&self) -> Next {
        let words = if self.started { Words { all: EndWord::STARTED, ..WORDS } } else { WORDS };
        self.tally.end(&words).next
    }

    fn timed_out(&mut self) -> Step {
        let results = std::mem::take(&mut self.execs).iter().map(Exec::result).collect();
        Step { results, ..Step::failed(EndWord::REPORT_MISSING, "the device has begun and did not report in time".to_owned()) }
    }
}
