//! Whether a deliverable fits a device, and every reason why it does not.
//!
//! A device fits when one of the deliverable's targets holds in all that it names, what must be there is there, and it would bring something
//! newer. Where none of several targets holds, the reasons are those of the nearest one. Nothing is assumed: what is not known of a device does
//! not hold, unless the target allows any.
mod chain;
mod particulars;
mod reason;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use dmwsi_objects::devdetail;

use crate::deliverable::{DeliverableKind, DeliverableSpec, Dependency, Precursor, Target};
use crate::version::{VersionRule, VersionScheme};

pub use chain::{Chains, MAX_HOPS};
pub use particulars::{InstalledSoftware, MAX_INSTALLED, Particulars};
pub use reason::{Reason, ReasonCode};

/// Which version of a device a rule is about.
#[derive(Clone, Copy)]
struct Axis {
    /// How people call it.
    name: &'static str,
    too_old: ReasonCode,
    too_new: ReasonCode,
    excluded: ReasonCode,
}

const FIRMWARE: Axis = Axis {
    name: "firmware",
    too_old: ReasonCode::FirmwareTooOld,
    too_new: ReasonCode::FirmwareTooNew,
    excluded: ReasonCode::FirmwareExcluded,
};
const HARDWARE: Axis = Axis {
    name: "hardware",
    too_old: ReasonCode::HardwareDiffers,
    too_new: ReasonCode::HardwareDiffers,
    excluded: ReasonCode::HardwareDiffers,
};
const SOFTWARE: Axis = Axis {
    name: "software",
    too_old: ReasonCode::SoftwareTooOld,
    too_new: ReasonCode::SoftwareTooNew,
    excluded: ReasonCode::SoftwareExcluded,
};

/// Why the deliverable does not fit the device: nothing when it does.
#[must_use]
pub fn judge(spec: &DeliverableSpec, device: &Particulars) -> Vec<Reason> {
    let (mut reasons, scheme) = nearest(&spec.targets, device);
    reasons.extend(spec.precursor.as_ref().and_then(|precursor| judge_precursor(precursor, device)));
    reasons.extend(spec.dependencies.iter().filter_map(|dependency| judge_dependency(dependency, device)));
    reasons.extend(judge_progress(spec, device, scheme));
    reasons
}

/// Why a package of which only these are known does not fit: what a portal says of its own package.
#[must_use]
pub fn judge_package(targets: &[Target], precursor: Option<&Precursor>, device: &Particulars) -> Vec<Reason> {
    let mut reasons = if targets.is_empty() { Vec::new() } else { nearest(targets, device).0 };
    reasons.extend(precursor.and_then(|precursor| judge_precursor(precursor, device)));
    reasons
}

/// The reasons among these that no update of the device changes: it is of another make.
#[must_use]
pub fn lasting(targets: &[Target], device: &Particulars) -> Vec<Reason> {
    let mut reasons = if targets.is_empty() { Vec::new() } else { nearest(targets, device).0 };
    reasons.retain(|reason| reason.code.is_lasting());
    reasons
}

/// Whether manufacturer and model of the device are those of one of the targets, whatever else it is.
#[must_use]
pub fn is_for_model(targets: &[Target], device: &Particulars) -> bool {
    targets.iter().any(|target| {
        let made_by = device.manufacturer.as_ref().map_or(target.manufacturer.is_none(), |name| target.has_manufacturer(name));
        made_by && device.model.as_ref().map_or(target.models.is_empty(), |name| target.has_model(name))
    })
}

/// The reasons of the target that comes nearest, with its scheme: another manufacturer is farther away than another model, and so on down to
/// the versions.
fn nearest(targets: &[Target], device: &Particulars) -> (Vec<Reason>, VersionScheme) {
    let judged = targets.iter().map(|target| (judge_target(target, device), target.version_scheme));
    let distance = |(reasons, _): &(Vec<Reason>, VersionScheme)| reasons.iter().map(|reason| reason.distance).sum::<u32>();
    judged.min_by_key(distance).unwrap_or_default()
}

fn judge_target(target: &Target, device: &Particulars) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut named = |wanted: Option<String>, has: &Option<String>, fits: bool, what: &str, code: ReasonCode| {
        let Some(wanted) = wanted else { return };
        match has {
            None => reasons.push(Reason::unknown(what, code.distance())),
            Some(_) if fits => {}
            Some(has) => reasons.push(Reason::new(code, format!("it is for the {what} {wanted}, not {has}"))),
        }
    };
    let fits = |has: &Option<String>, fits: &dyn Fn(&str) -> bool| has.as_deref().is_some_and(fits);
    let models = (!target.models.is_empty()).then(|| listed(&target.models));
    let (make, model, kind) = (&device.manufacturer, &device.model, &device.device_type);
    let by_make = fits(make, &|name| target.has_manufacturer(name));
    named(target.manufacturer.clone(), make, by_make, "manufacturer", ReasonCode::ManufacturerDiffers);
    named(models, model, fits(model, &|name| target.has_model(name)), "model", ReasonCode::ModelDiffers);
    let by_kind = fits(kind, &|name| target.has_device_type(name));
    named(target.device_type.clone(), kind, by_kind, "device type", ReasonCode::DeviceTypeDiffers);
    let scheme = target.version_scheme;
    for (rule, has, axis) in [
        (&target.hw_version, &device.hardware_version, HARDWARE),
        (&target.fw_version, &device.firmware_version, FIRMWARE),
        (&target.sw_version, &device.software_version, SOFTWARE),
    ] {
        reasons.extend(rule.as_ref().and_then(|rule| judge_version(rule, scheme, has.as_deref(), axis)));
    }
    reasons
}

fn judge_version(rule: &VersionRule, scheme: VersionScheme, has: Option<&str>, axis: Axis) -> Option<Reason> {
    if rule.any {
        return None;
    }
    let name = axis.name;
    let Some(has) = has else { return Some(Reason::unknown(&format!("{name} version"), axis.too_old.distance())) };
    if rule.allows(scheme, has) {
        return None;
    }
    let is = |bound: &Option<String>, order: Ordering| {
        bound.as_ref().filter(|bound| scheme.compare(has, bound) == Some(order)).cloned()
    };
    if let Some(min) = is(&rule.min, Ordering::Less) {
        return Some(Reason::new(axis.too_old, format!("it needs {name} version {min} or later, not {has}")));
    }
    if let Some(max) = is(&rule.max, Ordering::Greater) {
        return Some(Reason::new(axis.too_new, format!("it is for {name} version {max} or earlier, not {has}")));
    }
    if rule.exclude.iter().any(|one| one == has) {
        return Some(Reason::new(axis.excluded, format!("{name} version {has} is excluded")));
    }
    if !rule.one_of.is_empty() && !rule.one_of.iter().any(|one| one == has) {
        return Some(Reason::new(axis.excluded, format!("it is for {name} version {}, not {has}", listed(&rule.one_of))));
    }
    let detail = format!("{name} version {has} cannot be compared with those it is for");
    Some(Reason::at(ReasonCode::VersionIncomparable, axis.too_old.distance(), detail))
}

fn judge_precursor(precursor: &Precursor, device: &Particulars) -> Option<Reason> {
    match &device.firmware_version {
        None => Some(Reason::unknown("firmware version", ReasonCode::PrecursorDiffers.distance())),
        Some(has) if *has == precursor.version => None,
        Some(has) => {
            let detail = format!("it turns exactly version {} into the new one, not {has}", precursor.version);
            Some(Reason::new(ReasonCode::PrecursorDiffers, detail))
        }
    }
}

fn judge_dependency(dependency: &Dependency, device: &Particulars) -> Option<Reason> {
    let has = |fits: &dyn Fn(&InstalledSoftware) -> bool| device.installed.as_ref().map(|all| all.iter().any(fits));
    let (met, what) = match dependency {
        Dependency::Deliverable { deliverable_id } => {
            (has(&|one| one.deliverable_reference.as_ref() == Some(deliverable_id)), deliverable_id.clone())
        }
        Dependency::Software { name, min_version, version_scheme } => {
            let late_enough = |version: &str| match min_version {
                Some(min) => version_scheme.compare(version, min).is_some_and(Ordering::is_ge),
                None => true,
            };
            let what = min_version.as_ref().map_or_else(|| name.clone(), |min| format!("{name} {min} or later"));
            (has(&|one| one.name == *name && late_enough(&one.version)), what)
        }
    };
    match met {
        Some(true) => None,
        Some(false) => Some(Reason::new(ReasonCode::DependencyMissing, format!("it needs {what}"))),
        None => Some(Reason::unknown(&format!("software {what}"), ReasonCode::DependencyMissing.distance())),
    }
}

/// Whether it would bring what is there already, or something older.
fn judge_progress(spec: &DeliverableSpec, device: &Particulars, scheme: VersionScheme) -> Option<Reason> {
    let (new, has) = (spec.expected_version(), installed_version(spec, device)?);
    let order = if new == has { Some(Ordering::Equal) } else { scheme.compare(new, has) };
    match order? {
        Ordering::Equal => Some(Reason::new(ReasonCode::AlreadyInstalled, format!("version {has} is there already"))),
        Ordering::Less => {
            Some(Reason::new(ReasonCode::OlderThanInstalled, format!("version {new} is older than {has}, which is there")))
        }
        Ordering::Greater => None,
    }
}

/// The version that the deliverable would take the place of, where that is known.
fn installed_version<'a>(spec: &DeliverableSpec, device: &'a Particulars) -> Option<&'a str> {
    match spec.kind {
        DeliverableKind::Firmware => {
            let node = spec.dm.as_ref().and_then(|dm| dm.version_node.as_ref());
            match node.map_or(devdetail::FW_V, |node| node.as_str()) {
                devdetail::FW_V => device.firmware_version.as_deref(),
                devdetail::SW_V => device.software_version.as_deref(),
                _ => None,
            }
        }
        DeliverableKind::SoftwareComponent => {
            let all = device.installed.iter().flatten();
            all.filter(|one| one.name == spec.name).map(|one| one.version.as_str()).next()
        }
        DeliverableKind::Configuration | DeliverableKind::Content => None,
    }
}

/// The first few of a list, for a sentence.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

/// The most pairs of manufacturer and model by which one deliverable is looked up; one with more is looked up by its manufacturers alone.
const MAX_KEYS: usize = 256;

/// By what a deliverable is looked up: manufacturer and model in small letters, empty for any, a model with `*` at its end for all that begin
/// so. More may be found by it than fits, never less.
#[must_use]
pub fn keys(targets: &[Target]) -> BTreeSet<(String, String)> {
    let make = |target: &Target| target.manufacturer.as_deref().unwrap_or_default().to_lowercase();
    let mut keys = BTreeSet::new();
    for target in targets {
        if target.models.is_empty() {
            keys.insert((make(target), String::new()));
        }
        keys.extend(target.models.iter().map(|model| (make(target), model.to_lowercase())));
        if keys.len() > MAX_KEYS {
            return targets.iter().map(|target| (make(target), String::new())).collect();
        }
    }
    keys
}

/// By which keys the deliverables for a device are found: manufacturers, and models or beginnings of them.
#[must_use]
pub fn looked_up(device: &Particulars) -> (Vec<String>, Vec<String>) {
    let makes = device.manufacturer.iter().map(|name| name.to_lowercase()).chain([String::new()]).collect();
    let mut models = vec![String::new()];
    if let Some(model) = device.model.as_ref().map(|name| name.to_lowercase()) {
        let beginnings = model.char_indices().map(|(at, _)| at).chain([model.len()]);
        models.extend(beginnings.filter_map(|at| Some(format!("{}*", model.get(..at)?))));
        models.push(model);
    }
    (makes, models)
}

#[cfg(test)]
mod tests;
