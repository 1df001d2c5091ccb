//! What the demo shows: a partner delivers, a portal asks what fits and why the rest does not, starts one, the device is woken and fetches it
//! from the server, resumes after a break, installs and tells.
use std::fs::{self, File};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::Failure;
use crate::container::pack;
use crate::demo::Stage;
use crate::release::VERSION;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// Tells it as it goes; whether the update succeeded.
pub(crate) async fn tell(stage: &Stage, began: Instant) -> Result<bool, Failure> {
    let Some((device, profile)) = stage.devices.first() else { return Ok(false) };
    deliver(stage).await?;
    let deliverable = choose(stage, device, began).await?;
    let operation = json!({"type": "FIRMWARE_UPDATE", "deliverableId": deliverable});
    let job = stage.portal.start(&operation, std::slice::from_ref(device)).await?;
    println!("\nIt starts the job {job}: firmware {} to {VERSION} on {device}.", profile.firmware);
    let mut told = 0;
    loop {
        let execution = stage.portal.execution(&job, device).await?;
        let timeline = execution.get("timeline").and_then(Value::as_array).cloned().unwrap_or_default();
        for entry in timeline.iter().skip(told) {
            println!("  {:>5.1} s  {}", began.elapsed().as_secs_f32(), line(entry));
        }
        told = timeline.len();
        if execution.get("finishedAt").is_some_and(|at| !at.is_null()) {
            let job = stage.portal.job(&job, 5).await?;
            tell_wake(&stage.portal.wake(device).await?);
            tell_download(execution.get("download").unwrap_or(&Value::Null));
            return Ok(report(&execution, &job));
        }
        patience(began)?;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// The partner's release goes in as one container.
async fn deliver(stage: &Stage) -> Result<(), Failure> {
    let file = stage.release.with_added_extension("tar");
    let length = pack(&stage.release, File::create(&file)?)?;
    let container = stage.partner.deliver(fs::read(&file)?).await?;
    println!("A partner delivers a container of {length} bytes: it is {}.", text(&container, "state"));
    for verdict in container.get("verdicts").and_then(Value::as_array).into_iter().flatten() {
        println!("  {:9} {}", text(verdict, "status"), text(verdict, "reference"));
    }
    Ok(())
}

/// What fits the device, and why the rest does not; the one that is asked for.
async fn choose(stage: &Stage, device: &str, began: Instant) -> Result<String, Failure> {
    // A device is known only after it called once.
    loop {
        let known = stage.portal.call(Method::GET, &format!("/v1/devices/{device}"), None).await?;
        if known.pointer("/facts/firmwareVersion").is_some_and(Value::is_string) {
            break;
        }
        patience(began)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let offers = stage.portal.call(Method::GET, &format!("/v1/devices/{device}/firmware-updates"), None).await?;
    println!("\nA self-care portal asks what fits {device}:");
    let mut chosen = None;
    for offer in offers.get("items").and_then(Value::as_array).into_iter().flatten() {
        let fits = offer.get("fits").and_then(Value::as_bool).unwrap_or_default();
        println!("  {:12} {}", if fits { "fits" } else { "does not fit" }, text(offer, "name"));
        for reason in offer.get("reasons").and_then(Value::as_array).into_iter().flatten() {
            println!("               {}: {}", text(reason, "code"), text(reason, "detail"));
        }
        let chain: Vec<_> =
            offer.get("chain").and_then(Value::as_array).into_iter().flatten().map(|step| text(step, "version")).collect();
        if !chain.is_empty() {
            println!("               it can be reached: {}", chain.join(", then "));
        }
        if fits && text(offer, "version") == VERSION {
            chosen = chosen.or_else(|| Some(text(offer, "deliverableId")));
        }
    }
    chosen.ok_or_else(|| "nothing fits the device".into())
}

fn patience(began: Instant) -> Result<(), Failure> {
    if began.elapsed() > PATIENCE { Err("it takes too long".into()) } else { Ok(()) }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).map_or_else(|| "-".to_owned(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// How the device was woken.
fn tell_wake(wake: &Value) {
    let [state, attempts, session] = ["state", "attempts", "sessionId"].map(|name| text(wake, name));
    println!("\nThe device slept and was woken by package 0: {state}, attempts {attempts}, session {session}.");
}

/// What it fetched.
fn tell_download(download: &Value) {
    let [reached, size, requests, sent] = ["reached", "size", "requests", "sent"].map(|name| text(download, name));
    println!(
        "Its download broke once and was resumed: {reached} of {size} bytes in {requests} requests, {sent} bytes sent in all."
    );
}

/// One entry of a timeline in words.
fn line(entry: &Value) -> String {
    let what = text(entry, "type");
    let what = what.strip_prefix("dmwsi.v1.").unwrap_or(&what);
    let data = entry.get("data").unwrap_or(&Value::Null);
    let more: Vec<_> = ["phase", "progress", "state", "outcome"]
        .into_iter()
        .filter(|name| data.get(name).is_some())
        .map(|name| text(data, name))
        .collect();
    format!("{what:20} {}", more.join(" "))
}

/// Prints how it ended and why; whether it succeeded.
fn report(execution: &Value, job: &Value) -> bool {
    println!("\nThe job is {}: {}. The evidence:", text(job, "state"), text(execution, "outcome"));
    for piece in execution.get("evidence").and_then(Value::as_array).into_iter().flatten() {
        let mut piece = piece.clone();
        let (at, kind) = (text(&piece, "at"), text(&piece, "type"));
        if let Some(fields) = piece.as_object_mut() {
            fields.remove("at");
            fields.remove("type");
        }
        println!("  {at}  {kind:9} {piece}");
    }
    text(execution, "state") == "SUCCEEDED"
}
