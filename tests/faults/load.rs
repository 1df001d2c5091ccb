//! What is asked of the server meanwhile: jobs on devices that call, on devices that never call, alerts, registrations.
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmwsi_domain::Clock;
use dmwsi_objects::alert::{AlertType, GenericAlert, Mark};
use dmwsi_objects::{NodeUri, Value as NodeValue};
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, Wire};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::dice::Dice;
use super::journal::{Journal, What};

/// The node that jobs write.
const NODE: &str = "./Vendor/Test/Fault";

/// How long a job may take that its device works on all the time.
const DONE_WITHIN: Duration = Duration::from_secs(45);

/// How long everybody may take to come to rest.
const RESTED_WITHIN: Duration = Duration::from_secs(150);

/// Everybody who asks something of the server.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    count: usize,
    rest: Rest,
}

/// Whether nothing new is begun, and how many have come to rest.
#[derive(Clone)]
struct Rest {
    wanted: watch::Sender<bool>,
    resting: watch::Sender<usize>,
}

impl Rest {
    /// Waits while everybody rests.
    async fn turn(&self) {
        let mut wanted = self.wanted.subscribe();
        if *wanted.borrow() {
            self.resting.send_modify(|resting| *resting += 1);
            wanted.wait_for(|wanted| !*wanted).await.unwrap();
            self.resting.send_modify(|resting| *resting -= 1);
        }
    }
}

/// What each of them needs.
#[derive(Clone)]
struct Actor {
    caller: Arc<Caller>,
    journal: Arc<Journal>,
    dice: Dice,
    rest: Rest,
    /// Where events of jobs are delivered to that ask for it.
    sink: String,
}

impl Load {
    /// So many devices that call there, so many that do not, and somebody who registers further ones.
    pub(crate) async fn start(
        (caller, journal): (&Arc<Caller>, &Arc<Journal>),
        gateway: &str,
        sink: &str,
        seed: u64,
        (devices, sleepers): (u32, u32),
    ) -> Self {
        let rest = Rest { wanted: watch::Sender::new(false), resting: watch::Sender::new(0) };
        let actor = |name: &str| Actor {
            caller: Arc::clone(caller),
            journal: Arc::clone(journal),
            dice: Dice::of(seed, name),
            rest: rest.clone(),
            sink: sink.to_owned(),
        };
        let mut tasks = JoinSet::new();
        let registrar = actor("registrar");
        if sleepers > 0 {
            let sleepers = (0..sleepers).map(|number| DeviceProfile::nth(seed, devices + number)).collect();
            tasks.spawn(actor("crowd").lead_crowds(sleepers));
        }
        for number in 0..devices {
            // Each on connections of its own, so that messages reach every gateway.
            let wire = Wire::new(None).unwrap();
            let profile = DeviceProfile::nth(seed, number);
            let id = registrar.register(&profile).await;
            let behaviour = Behaviour { retries: 4, retry_ms: 60, ..Behaviour::default() };
            let device = Device::new(profile, behaviour, format!("{gateway}/dm"), &wire);
            tasks.spawn(actor(&format!("device {number}")).live(device, id));
        }
        tasks.spawn(registrar.keep_registering(seed, devices + sleepers));
        let count = tasks.len();
        Self { tasks, count, rest }
    }

    /// Has everybody finish what was begun, and begin nothing.
    pub(crate) async fn rest(&mut self) {
        self.rest.wanted.send_replace(true);
        let (mut resting, count) = (self.rest.resting.subscribe(), self.count);
        tokio::select! {
            rested = tokio::time::timeout(RESTED_WITHIN, resting.wait_for(|resting| *resting == count)) => {
                rested.expect("everybody comes to rest").unwrap();
            }
            ended = self.tasks.join_next() => ended.unwrap().unwrap(),
        }
    }

    pub(crate) async fn go_on(&mut self) {
        self.rest.wanted.send_replace(false);
        self.rest.resting.subscribe().wait_for(|resting| *resting == 0).await.unwrap();
    }
}

impl Actor {
    /// Registers a device; a repeated request is the same one.
    async fn register(&self, profile: &DeviceProfile) -> String {
        let client = json!({"auth": "DIGEST", "name": profile.client_name, "secret": profile.client_secret});
        let server = json!({"auth": "DIGEST", "name": profile.server_id, "secret": profile.server_secret});
        let account = json!({"serverId": profile.server_id, "client": client, "server": server});
        let new = json!({"dmIdentity": profile.device, "account": account});
        let key = format!("register-{}", profile.client_name);
        let (status, made) = self.caller.ask(Method::POST, "/v1/devices", &[("idempotency-key", &key)], Some(&new)).await;
        assert_eq!(status, 201, "{made}");
        let device = made["deviceId"].as_str().unwrap().to_owned();
        self.journal.write(What::Registered { device: device.clone() });
        device
    }

    /// Registers devices for ever, and deletes some of them.
    async fn keep_registering(mut self, seed: u64, first: u32) {
        for number in first.. {
            self.rest.turn().await;
            let device = self.register(&DeviceProfile::nth(seed, number)).await;
            if self.dice.percent(50) {
                let path = format!("/v1/devices/{device}");
                // The answer to the first request may be lost: then it is gone already, or the second comes in its way.
                loop {
                    let (status, said) = self.caller.ask(Method::DELETE, &path, &[("if-match", "*")], None).await;
                    assert!([204, 404, 412].contains(&status), "{status} {said}");
                    if status != 412 {
                        break;
                    }
                }
                self.journal.write(What::Deleted { device });
            }
            tokio::time::sleep(self.dice.millis(50, 400)).await;
        }
    }

    /// Has something done, or tells something, and calls until it is done.
    async fn live(mut self, mut device: Device, id: String) {
        for number in 0_u64.. {
            self.rest.turn().await;
            let kind = self.dice.below(10);
            if kind < 3 {
                let alert = format!("com.example.fault-{}-{number}", device.profile().client_name);
                device.tell(GenericAlert {
                    alert_type: AlertType::lenient(&alert),
                    correlator: None,
                    source: NodeUri::parse("./Vendor/Test").ok(),
                    target: None,
                    mark: Mark::Harmless,
                    value: NodeValue::text("so it is"),
                });
                self.journal.write(What::Alerting { device: id.clone(), alert });
            }
            let job = if kind > 0 { Some(self.start_on(&id, &device, number).await) } else { None };
            let began = Instant::now();
            while began.elapsed() < DONE_WITHIN {
                self.call(&mut device, &id).await;
                let is_over = match &job {
                    Some(job) => self.look(job, Some(&id)).await,
                    None => true,
                };
                if is_over && device.pending().is_empty() {
                    break;
                }
            }
            tokio::time::sleep(self.dice.millis(20, 300)).await;
        }
    }

    /// Holds a session, and writes down what came of it as the device sees it.
    async fn call(&self, device: &mut Device, id: &str) {
        let told: Vec<_> = device.pending().iter().map(|alert| alert.alert_type.to_string()).collect();
        let before = device.tree().text(NODE).map(str::to_owned);
        let held = device.check_in().await;
        if let Some(value) = device.tree().text(NODE).map(str::to_owned).filter(|value| Some(value) != before.as_ref()) {
            self.journal.write(What::Carried { device: id.to_owned(), value });
        }
        if held.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let left: Vec<_> = device.pending().iter().map(|alert| alert.alert_type.to_string()).collect();
        for alert in told.into_iter().filter(|alert| !left.contains(alert)) {
            self.journal.write(What::Heard { device: id.to_owned(), alert });
        }
    }

    /// Starts a job on one device; where.
    async fn start_on(&mut self, id: &str, device: &Device, number: u64) -> String {
        let name = format!("{}-{number}", device.profile().client_name);
        let value = self.dice.percent(60).then(|| name.clone());
        let operation = match &value {
            Some(value) => json!({"type": "NODES_SET", "changes": [{"node": NODE, "value": value}]}),
            None => json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man", "./DevDetail/FwV"]}),
        };
        let mut new = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": [id]}});
        // Of its subscription only the first answer tells, so that is the one that must come again.
        if self.dice.percent(15) {
            new["sink"] = self.sink.clone().into();
        }
        self.start(&new, &name, vec![id.to_owned()], value).await
    }

    async fn start(&self, new: &Value, name: &str, devices: Vec<String>, value: Option<String>) -> String {
        let mut new = new.clone();
        let key = [("idempotency-key", name)];
        let headers = if new["sink"].is_string() {
            &key[..]
        } else {
            new["clientCorrelator"] = name.into();
            &[]
        };
        let (status, mut job) = self.caller.ask(Method::POST, "/v1/jobs", headers, Some(&new)).await;
        if status == 422 {
            // Its time was over before the answer to the first request came; whether that was taken the list says.
            let (_, page) = self.caller.get("/v1/jobs?perPage=100").await;
            let own = page["items"].as_array().unwrap().iter().find(|job| job["clientCorrelator"] == name);
            let Some(own) = own else { return String::new() };
            job = own.clone();
        } else {
            assert!([200, 202].contains(&status), "{status} {job}");
        }
        let id = job["jobId"].as_str().unwrap().to_owned();
        let bound = job["subscription"]["subscriptionId"].as_str().map(str::to_owned);
        self.journal.write(What::Accepted { job: id.clone(), devices, bound, value });
        id
    }

    /// Looks at a job, and waits a little for its end; whether it has ended. Where it is for one device, it says how that did.
    async fn look(&self, job: &str, device: Option<&str>) -> bool {
        let (status, view) = self.caller.get(&format!("/v1/jobs/{job}?wait=1")).await;
        assert_eq!(status, 200, "{view}");
        let (state, is_over) = (view["state"].as_str().unwrap().to_owned(), view["finishedAt"].is_string());
        if let Some(device) = device.filter(|_| is_over) {
            let counts = view["executions"].as_object().unwrap();
            let (state, _) = counts.iter().find(|(_, count)| **count == 1).unwrap();
            self.executed(job, device, &state.to_uppercase());
        }
        self.journal.write(What::Shown { job: job.to_owned(), state, is_over });
        is_over
    }

    fn executed(&self, job: &str, device: &str, state: &str) {
        let (job, device, state) = (job.to_owned(), device.to_owned(), state.to_owned());
        self.journal.write(What::Executed { job, device, state });
    }

    /// Starts jobs on devices that never call, which end by their time or by being cancelled.
    async fn lead_crowds(mut self, profiles: Vec<DeviceProfile>) {
        let mut sleepers = Vec::new();
        for profile in profiles {
            sleepers.push(self.register(&profile).await);
        }
        for number in 0_u64.. {
            self.rest.turn().await;
            let is_cancelled = self.dice.percent(60);
            let life = Duration::from_millis(if is_cancelled { 60_000 } else { 2_000 });
            let operation = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
            let target = json!({"type": "DEVICES", "deviceIds": sleepers});
            let new = json!({"operation": operation, "target": target, "expiresAt": Clock::System.now().plus(life)});
            let job = self.start(&new, &format!("crowd-{number}"), sleepers.clone(), None).await;
            if job.is_empty() {
                continue;
            }
            if is_cancelled {
                tokio::time::sleep(self.dice.millis(0, 500)).await;
                let (status, said) = self.caller.ask(Method::POST, &format!("/v1/jobs/{job}/cancel"), &[], None).await;
                assert_eq!(status, 202, "{said}");
            }
            let began = Instant::now();
            while began.elapsed() < DONE_WITHIN && !self.look(&job, None).await {}
            let mut cursor = String::new();
            loop {
                let (_, page) = self.caller.get(&format!("/v1/jobs/{job}/executions?perPage=100{cursor}")).await;
                for one in page["items"].as_array().unwrap() {
                    self.executed(&job, one["deviceId"].as_str().unwrap(), one["state"].as_str().unwrap());
                }
                let Some(next) = page["nextCursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            tokio::time::sleep(self.dice.millis(500, 4_000)).await;
        }
    }
}
