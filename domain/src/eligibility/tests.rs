use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::Timestamp;
use crate::container::ContainerState;
use crate::deliverable::Deliverable;
use crate::id::{ContainerId, DeliverableId, OrganisationId};

fn spec(changes: &Value) -> DeliverableSpec {
    let mut spec = json!({"deliverableId": "fw", "kind": "FIRMWARE", "name": "X1", "version": "2.0.0",
        "targets": [{"manufacturer": "Acme", "models": ["X1"]}]});
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn x1(firmware: &str) -> Particulars {
    Particulars {
        manufacturer: Some("ACME".into()),
        model: Some("x1".into()),
        firmware_version: Some(firmware.into()),
        ..Particulars::default()
    }
}

fn codes(spec: &DeliverableSpec, device: &Particulars) -> Vec<&'static str> {
    judge(spec, device).iter().map(|reason| reason.code.as_str()).collect()
}

fn firmware(number: u128, changes: &Value) -> Deliverable {
    Deliverable {
        id: DeliverableId::new(Uuid::from_u128(number)),
        container: ContainerId::new(Uuid::nil()),
        ordinal: 0,
        organisation: OrganisationId::new(Uuid::nil()),
        state: ContainerState::Available,
        expires_at: None,
        spec: spec(changes),
        created_at: Timestamp::from_micros(0),
    }
}

#[test]
fn every_reason_is_told() {
    let hard = json!({"targets": [{"manufacturer": "Acme", "models": ["X1"], "deviceType": "phone", "hwVersion": {"in": ["A"]},
        "fwVersion": {"min": "1.5", "max": "1.9", "exclude": ["1.7"]}, "swVersion": {"max": "3"}}]});
    let knows = |firmware: &str| Particulars {
        device_type: Some("Phone".into()),
        hardware_version: Some("A".into()),
        software_version: Some("2".into()),
        ..x1(firmware)
    };
    assert_eq!(codes(&spec(&hard), &knows("1.6")), [""; 0]);
    assert_eq!(codes(&spec(&hard), &knows("1.4")), ["FIRMWARE_TOO_OLD"]);
    assert_eq!(codes(&spec(&hard), &knows("1.7")), ["FIRMWARE_EXCLUDED"]);
    assert_eq!(codes(&spec(&hard), &knows("1.10")), ["FIRMWARE_TOO_NEW"]);
    assert_eq!(codes(&spec(&hard), &knows("2.0.0")), ["FIRMWARE_TOO_NEW", "ALREADY_INSTALLED"]);
    assert_eq!(codes(&spec(&hard), &knows("2.1")), ["FIRMWARE_TOO_NEW", "OLDER_THAN_INSTALLED"]);
    assert_eq!(codes(&spec(&hard), &knows("strange")), ["VERSION_INCOMPARABLE"]);
    let other = Particulars {
        manufacturer: Some("Other".into()),
        model: Some("Y".into()),
        device_type: Some("car".into()),
        hardware_version: Some("B".into()),
        software_version: Some("4".into()),
        ..x1("1.6")
    };
    let all = ["MANUFACTURER_DIFFERS", "MODEL_DIFFERS", "DEVICE_TYPE_DIFFERS", "HARDWARE_DIFFERS", "SOFTWARE_TOO_NEW"];
    assert_eq!(codes(&spec(&hard), &other), all);
    assert_eq!(codes(&spec(&hard), &Particulars::default()), ["PARTICULARS_UNKNOWN"; 6]);
    let detail = &judge(&spec(&hard), &knows("1.4")).remove(0).detail;
    assert_eq!(detail, "it needs firmware version 1.5 or later, not 1.4");
}

#[test]
fn any_version_is_any_even_when_it_is_not_known() {
    let any = spec(&json!({"targets": [{"manufacturer": "Acme", "models": ["X*"], "hwVersion": {"any": true}}]}));
    assert_eq!(codes(&any, &Particulars { firmware_version: None, ..x1("") }), [""; 0]);
}

#[test]
fn of_several_targets_the_nearest_one_tells_why() {
    let several = spec(&json!({"targets": [
        {"manufacturer": "Other", "models": ["X1"]},
        {"manufacturer": "Acme", "models": ["X2"], "fwVersion": {"any": true}},
        {"manufacturer": "Acme", "models": ["X1"], "hwVersion": {"in": ["Z"]}, "fwVersion": {"min": "1.5"}},
    ]}));
    let device = Particulars { hardware_version: Some("A".into()), ..x1("1.0") };
    assert_eq!(codes(&several, &device), ["HARDWARE_DIFFERS", "FIRMWARE_TOO_OLD"]);
    assert_eq!(codes(&several, &Particulars { model: Some("X2".into()), ..device }), [""; 0]);
}

#[test]
fn a_delta_wants_its_precursor_and_nothing_else() {
    let delta = spec(&json!({"precursor": {"version": "1.5.0"}}));
    assert_eq!(codes(&delta, &x1("1.5.0")), [""; 0]);
    assert_eq!(codes(&delta, &x1("1.5")), ["PRECURSOR_DIFFERS"]);
    assert_eq!(codes(&delta, &Particulars { firmware_version: None, ..x1("") }), ["PARTICULARS_UNKNOWN"]);
}

#[test]
fn what_it_depends_on_must_be_known_to_be_there() {
    let needs = spec(&json!({"dependencies": [{"deliverableId": "base"}, {"name": "Maps", "minVersion": "2.0"}]}));
    let has = |installed: Value| Particulars { installed: serde_json::from_value(installed).unwrap(), ..x1("1.0") };
    let base = json!({"name": "b", "version": "1", "deliverableReference": "base"});
    assert_eq!(codes(&needs, &has(json!([base, {"name": "Maps", "version": "2.1"}]))), [""; 0]);
    assert_eq!(codes(&needs, &has(json!([base, {"name": "Maps", "version": "1.9"}]))), ["DEPENDENCY_MISSING"]);
    assert_eq!(codes(&needs, &has(json!([]))), ["DEPENDENCY_MISSING"; 2]);
    assert_eq!(codes(&needs, &x1("1.0")), ["PARTICULARS_UNKNOWN"; 2]);
}

#[test]
fn software_is_compared_with_software_of_its_name() {
    let app = spec(&json!({"kind": "SOFTWARE_COMPONENT", "name": "Maps"}));
    let has = |version: &str| Particulars {
        installed: Some(vec![InstalledSoftware { name: "Maps".into(), version: version.into(), deliverable_reference: None }]),
        ..x1("9.9")
    };
    assert_eq!(codes(&app, &has("1.0")), [""; 0]);
    assert_eq!(codes(&app, &has("2.0")), ["ALREADY_INSTALLED"]);
    assert_eq!(codes(&app, &has("2.0.1")), ["OLDER_THAN_INSTALLED"]);
    assert_eq!(codes(&app, &x1("9.9")), [""; 0]);
}

#[test]
fn the_shortest_chain_leads_to_what_does_not_fit_yet() {
    let delta = |from: &str, to: &str| json!({"version": to, "precursor": {"version": from}});
    let all = [
        firmware(1, &delta("1.0", "1.1")),
        firmware(2, &delta("1.1", "1.2")),
        firmware(3, &delta("1.2", "2.0")),
        firmware(
            4,
            &json!({"version": "3.0", "targets": [{"manufacturer": "Acme", "models": ["X*"], "fwVersion": {"min": "1.2"}}]}),
        ),
        firmware(5, &json!({"version": "3.1", "targets": [{"manufacturer": "Acme", "models": ["Y"]}]})),
        firmware(6, &delta("0.9", "1.0")),
        firmware(7, &delta("3.0", "1.0")),
    ];
    let chains = Chains::find(&all, &x1("1.0"));
    let to = |number: u128| {
        chains.to(DeliverableId::new(Uuid::from_u128(number))).iter().map(|id| id.uuid().as_u128()).collect::<Vec<_>>()
    };
    assert_eq!((to(1), to(2), to(3), to(4)), (vec![], vec![1, 2], vec![1, 2, 3], vec![1, 2, 4]));
    assert_eq!((to(5), to(6), to(7)), (vec![], vec![], vec![]), "another model, and what leads back");
}

#[test]
fn a_search_for_chains_ends() {
    let many: Vec<_> = (1..500)
        .map(|number| {
            firmware(number, &json!({"version": format!("{}", number + 1), "precursor": {"version": number.to_string()}}))
        })
        .collect();
    let chains = Chains::find(&many, &x1("1"));
    assert_eq!(chains.to(DeliverableId::new(Uuid::from_u128(8))).len(), MAX_HOPS);
    assert!(chains.to(DeliverableId::new(Uuid::from_u128(9))).is_empty());
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "a", "Ab", "aB", "ABC", "É1", "é12", "b", "İx"]).prop_map(str::to_owned)
}

fn target() -> impl Strategy<Value = Target> {
    let model = (name(), prop::bool::ANY).prop_map(|(name, star)| if star { format!("{name}*") } else { name });
    let version = prop::option::of((0_u8..4, 0_u8..4));
    (prop::option::of(name()), prop::collection::vec(model, 0..3), version).prop_map(|(manufacturer, models, version)| {
        let fw_version = version.map(|(low, more)| VersionRule {
            min: Some(low.to_string()),
            max: Some((low + more).to_string()),
            ..VersionRule::default()
        });
        Target { manufacturer, models, fw_version, ..Target::default() }
    })
}

fn device() -> impl Strategy<Value = Particulars> {
    (prop::option::of(name()), prop::option::of(name()), prop::option::of(0_u8..8)).prop_map(|(manufacturer, model, firmware)| {
        let firmware_version = firmware.map(|version| version.to_string());
        Particulars { manufacturer, model, firmware_version, ..Particulars::default() }
    })
}

proptest! {
    #[test]
    fn a_device_fits_when_it_fits_one_of_the_targets(targets in prop::collection::vec(target(), 1..5), device in device()) {
        let one = targets.iter().any(|target| judge_package(std::slice::from_ref(target), None, &device).is_empty());
        prop_assert_eq!(judge_package(&targets, None, &device).is_empty(), one);
    }

    #[test]
    fn what_is_for_a_model_is_found_by_its_keys(targets in prop::collection::vec(target(), 1..5), device in device()) {
        let (makes, models) = looked_up(&device);
        let found = keys(&targets).iter().any(|(make, model)| makes.contains(make) && models.contains(model));
        prop_assert_eq!(found, is_for_model(&targets, &device));
        if judge_package(&targets, None, &device).is_empty() {
            prop_assert!(found);
        }
    }

    #[test]
    fn every_step_of_a_chain_fits_after_the_one_before(steps in prop::collection::vec((0_u8..6, 0_u8..8), 1..12)) {
        let all: Vec<_> = (0_u128..).zip(&steps).map(|(number, (from, to))| {
            firmware(number, &json!({"version": to.to_string(), "precursor": {"version": from.to_string()}}))
        }).collect();
        let start = x1("0");
        let chains = Chains::find(&all, &start);
        for one in &all {
            let mut here = start.clone();
            for id in chains.to(one.id) {
                let step = all.iter().find(|one| one.id == *id).unwrap();
                prop_assert!(judge(&step.spec, &here).is_empty());
                here.firmware_version = Some(step.spec.version.clone());
            }
        }
    }
}
