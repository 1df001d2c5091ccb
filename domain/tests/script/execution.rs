//! The states of an execution.
use dmwsi_domain::Clock;
use dmwsi_domain::event::Event;
use dmwsi_domain::execution::{Execution, ExecutionState, FIRST_EVIDENCE, MAX_EVIDENCE, Move};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::operation::EndWord;
use dmwsi_objects::{Answer, Command, StatusCode, Value};

use super::device::{Script, job, node};

const GET: &str = r#"{"type":"NODES_GET","nodes":["./DevInfo/Man"]}"#;
const UPDATE: &str = r#"{"type":"FIRMWARE_UPDATE","packageUrl":"https://d.example/p","expectedFirmwareVersion":"2.0"}"#;

/// An execution that reads one node, in that state.
fn execution(state: ExecutionState) -> Execution {
    let job = job(GET);
    let mut execution = Execution::new(&job, 0, DeviceId::new(Clock::System.new_id()), job.created_at);
    execution.state = state;
    execution.phase = (state != ExecutionState::Queued).then(|| "READING".to_owned());
    execution.finished_at = state.is_finished().then_some(job.created_at);
    execution
}

fn answer(status: Option<u16>) -> Answer {
    Answer { status: status.map(StatusCode), ..Answer::unheard(Command::Get { target: node("./DevInfo/Man") }) }
}

/// AD-1: for each state, where each action leads.
#[test]
fn every_action_in_every_state_leads_where_the_table_says() {
    use ExecutionState::{Cancelled, Declined, Expired, Failed, Queued, Refused, Running, Succeeded, Waiting};
    type Action = (&'static str, fn(&mut Execution) -> Move, [ExecutionState; 3]);
    // What becomes of QUEUED, WAITING, RUNNING.
    let actions: [Action; 9] = [
        ("turn", |e| e.turn(&Facts::default(), e.created_at), [Running, Running, Running]),
        ("answered", |e| e.answered(&[answer(Some(200))], &Facts::default(), e.created_at), [Succeeded, Succeeded, Succeeded]),
        (
            "refused by the device",
            |e| e.answered(&[answer(Some(404))], &Facts::default(), e.created_at),
            [Failed, Failed, Failed],
        ),
        ("answer lost", |e| e.answered(&[answer(None)], &Facts::default(), e.created_at), [Waiting, Waiting, Waiting]),
        ("cut", |e| e.cut(&[], &Facts::default(), e.created_at), [Queued, Waiting, Waiting]),
        ("timed out", |e| e.timed_out(&Facts::default(), e.created_at), [Failed, Failed, Failed]),
        ("expire", |e| e.expire(e.created_at), [Expired, Expired, Expired]),
        ("cancel", |e| e.cancel(e.created_at), [Cancelled, Cancelled, Cancelled]),
        ("refuse", |e| e.refuse(EndWord::DEVICE_GONE, "the device was deleted", e.created_at), [Refused, Refused, Refused]),
    ];
    for (name, act, to) in actions {
        for (from, to) in [Queued, Waiting, Running].into_iter().zip(to) {
            let mut execution = execution(from);
            let moved = act(&mut execution);
            assert_eq!(execution.state, to, "{name} in {from:?}");
            assert_eq!(execution.finished_at.is_some(), to.is_finished(), "{name} in {from:?}");
            assert_eq!(execution.outcome.is_some(), to.is_finished(), "{name} in {from:?}");
            let told = moved.events.iter().any(|event| matches!(event, Event::ExecutionFinished { .. }));
            assert_eq!(told, to.is_finished(), "{name} in {from:?}");
        }
        for ended in [Succeeded, Failed, Declined, Cancelled, Expired, Refused] {
            let mut execution = execution(ended);
            let before = execution.clone();
            let moved = act(&mut execution);
            assert_eq!(execution, before, "{name} in {ended:?}");
            assert!(moved.commands.is_empty() && moved.events.is_empty() && !moved.mine, "{name} in {ended:?}");
        }
    }
    for state in ExecutionState::ALL {
        assert_eq!(ExecutionState::parse(state.as_str()), Some(state));
    }
}

#[test]
fn two_updates_do_not_run_on_one_device_at_a_time_but_a_read_runs_beside_one() {
    let mut first = Script::of(UPDATE, &[]).execution;
    let second = Script::of(UPDATE, &[]).execution;
    let read = execution(ExecutionState::Queued);
    assert!(second.may_run_beside(&[first.clone(), read.clone()]), "the other has not begun");
    for state in [ExecutionState::Waiting, ExecutionState::Running] {
        first.state = state;
        let all = [first.clone(), second.clone(), read.clone()];
        assert!(!second.may_run_beside(&all));
        assert!(first.may_run_beside(&all) && read.may_run_beside(&all));
    }
    assert!(!execution(ExecutionState::Succeeded).may_run_beside(&[]));
}

#[test]
fn evidence_is_bounded_and_keeps_its_beginning_and_its_end() {
    let mut execution = execution(ExecutionState::Queued);
    for _ in 0..MAX_EVIDENCE * 2 {
        execution.answered(&[answer(None)], &Facts::default(), execution.created_at);
    }
    assert_eq!(execution.evidence.len(), MAX_EVIDENCE);
    const { assert!(FIRST_EVIDENCE < MAX_EVIDENCE) };
}

#[test]
fn a_cut_session_sends_nothing_more_even_when_the_operation_would() {
    let mut script = Script::of(UPDATE, &[("./DevDetail/FwV", "1.0"), ("./FUMO/State", "10")]);
    let moved = script.turn();
    let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
    let moved = script.execution.cut(&answers, &Facts::default(), script.now);
    assert!(moved.commands.is_empty());
    assert_eq!(script.execution.state, ExecutionState::Waiting);
    assert_eq!(script.answer(&Command::Get { target: node("./FUMO/State") }).value(), Some(&Value::text("10")));
}
