//! The states of a job, and its counts.
use dmwsi_domain::event::Event;
use dmwsi_domain::execution::ExecutionState;
use dmwsi_domain::id::{ClientId, JobId, OrganisationId};
use dmwsi_domain::job::{Counts, Job, JobOutcome, JobState};
use dmwsi_domain::operation::{NodesGetRequest, Request};
use dmwsi_domain::{Error, Timestamp};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_000);

fn job(state: JobState, counts: Counts) -> Job {
    Job {
        id: JobId::new(Uuid::from_u128(1)),
        organisation: OrganisationId::new(Uuid::from_u128(2)),
        client: ClientId::new(Uuid::from_u128(3)),
        client_correlator: None,
        fingerprint: String::new(),
        correlator: None,
        operation: Request::NodesGet(NodesGetRequest { nodes: Vec::new() }),
        target_type: "DEVICES".to_owned(),
        target_count: 3,
        state,
        outcome: None,
        counts,
        expanded: if matches!(state, JobState::Accepted | JobState::Expanding) { 1 } else { 3 },
        expires_at: None,
        created_at: NOW,
        updated_at: NOW,
        finished_at: state.is_finished().then_some(NOW),
        acknowledgement: None,
        told: dmwsi_domain::progress::Told::default(),
        revision: 1,
    }
}

fn ended(succeeded: i64, failed: i64, expired: i64) -> Counts {
    Counts { succeeded, failed, expired, ..Counts::default() }
}

/// UC-1, AD-1: for each state, what each action makes of it; no entry means that the action is refused.
#[test]
fn every_action_in_every_state_leads_where_the_table_says() {
    use JobState::{Accepted, Cancelled, Cancelling, Completed, Expanding, Expired, Paused, Rejected, Running};
    // From, one more execution, the last ones, cancel, settle with all ended, settle with one still running.
    let table = [
        (Accepted, Expanding, Running, Some(Cancelling), Accepted, Accepted),
        (Expanding, Expanding, Running, Some(Cancelling), Expanding, Expanding),
        (Running, Running, Running, Some(Cancelling), Completed, Running),
        (Paused, Paused, Paused, Some(Cancelling), Completed, Paused),
        (Cancelling, Cancelling, Cancelling, Some(Cancelling), Cancelled, Cancelling),
        (Completed, Completed, Completed, None, Completed, Completed),
        (Cancelled, Cancelled, Cancelled, Some(Cancelled), Cancelled, Cancelled),
        (Expired, Expired, Expired, None, Expired, Expired),
        (Rejected, Rejected, Rejected, None, Rejected, Rejected),
    ];
    assert_eq!(table.map(|row| row.0), JobState::ALL);
    for (from, one, last, cancelled, settled, unsettled) in table {
        let after = |run: &dyn Fn(&mut Job) -> bool, counts| {
            let mut job = job(from, counts);
            let (before, told) = (job.clone(), run(&mut job));
            assert!(!told || before != job, "{from:?}: an event without a change");
            assert_eq!(job.finished_at.is_some(), job.state.is_finished(), "{from:?}");
            job.state
        };
        assert_eq!(after(&|job| job.expand(1, NOW).is_some(), Counts::default()), one, "{from:?} expand one");
        assert_eq!(after(&|job| job.expand(2, NOW).is_some(), Counts::default()), last, "{from:?} expand the last");
        assert_eq!(after(&|job| job.settle(NOW).is_some(), ended(3, 0, 0)), settled, "{from:?} settle");
        assert_eq!(after(&|job| job.settle(NOW).is_some(), ended(0, 0, 0)), unsettled, "{from:?} settle early");
        let mut job = job(from, Counts::default());
        match cancelled {
            Some(to) => {
                let told = job.cancel(NOW).unwrap().is_some();
                assert_eq!((job.state, told), (to, from != to), "{from:?} cancel");
            }
            None => assert!(matches!(job.cancel(NOW), Err(Error::Conflict { code: "JOB_FINISHED", .. })), "{from:?}"),
        }
    }
}

#[test]
fn the_outcome_follows_from_the_counts() {
    let outcome = |counts, expires_at| {
        let mut job = Job { expires_at, ..job(JobState::Running, counts) };
        let told = job.settle(NOW);
        assert_eq!(told, Some(Event::JobCompleted { state: job.state, outcome: job.outcome, counts: job.counts }));
        (job.state, job.outcome)
    };
    let (late, in_time) = (Some(NOW), Some(NOW.plus(std::time::Duration::from_secs(1))));
    assert_eq!(outcome(ended(3, 0, 0), None), (JobState::Completed, Some(JobOutcome::Succeeded)));
    assert_eq!(outcome(ended(1, 2, 0), in_time), (JobState::Completed, Some(JobOutcome::Partial)));
    assert_eq!(outcome(ended(0, 3, 0), late), (JobState::Completed, Some(JobOutcome::Failed)));
    assert_eq!(outcome(ended(1, 0, 2), late), (JobState::Completed, Some(JobOutcome::Partial)));
    assert_eq!(outcome(ended(0, 0, 3), late), (JobState::Expired, Some(JobOutcome::Failed)));
}

#[test]
fn a_job_cancelled_before_all_its_executions_were_made_ends_with_those_it_has() {
    let mut job = job(JobState::Expanding, Counts { cancelled: 1, ..Counts::default() });
    assert!(job.cancel(NOW).unwrap().is_some());
    assert!(job.settle(NOW).is_some());
    assert_eq!(job.state, JobState::Cancelled);
}

#[test]
fn a_move_of_one_execution_is_a_delta_that_adds_up_to_nothing() {
    for from in ExecutionState::ALL {
        for to in ExecutionState::ALL {
            let mut counts = Counts::of(from, 1);
            counts.add(Counts::moved(from, to));
            assert_eq!(counts, Counts::of(to, 1), "{from:?} {to:?}");
            assert_eq!(Counts::moved(from, to).is_nothing(), from == to);
        }
    }
}

#[test]
fn every_word_of_a_state_is_read_back() {
    for state in JobState::ALL {
        assert_eq!(JobState::parse(state.as_str()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert_eq!(JobState::parse("running"), None);
}
