//! Whatever a device sends, and in whatever order, the session keeps its promises.
use super::*;
use crate::server::Turn;
use dmwsi_objects::{Prompt, PromptKind};

/// A cheap source of numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(bound)).unwrap()
    }
}

fn any_element(dice: &mut Dice, last_sent: u32) -> Element {
    let codes = [0, 101, 200, 202, 212, 213, 401, 404, 407, 500];
    let code = codes[usize::try_from(dice.below(10)).unwrap()];
    let message = last_sent.saturating_sub(dice.below(2));
    let more = dice.below(3) == 0;
    let node = ["./A", "./B", "./DevInfo/Mod", "//"][usize::try_from(dice.below(4)).unwrap()];
    let item = Item { more, ..leaf(node, "some data") };
    match dice.below(9) {
        0 => header_status(message, code),
        1 => challenging(
            message,
            code,
            ["syncml:auth-md5", "syncml:auth-basic", "x"][usize::try_from(dice.below(3)).unwrap()],
            "AAAA",
        ),
        2 | 3 => status(message, dice.below(9), code),
        4 | 5 => results(message, dice.below(9), vec![item]),
        6 => replace(vec![item]),
        7 => said([1200, 1201, 1222, 1223, 1224, 1225, 1226, 1299][usize::try_from(dice.below(8)).unwrap()]),
        _ => Element::Unknown { id: String::new(), name: "Put".to_owned() },
    }
}

fn any_command(dice: &mut Dice) -> Command {
    match dice.below(7) {
        0 => exec("./A"),
        4 => Command::Atomic { members: vec![set("./A", "x"), Command::Delete { target: uri("./B") }] },
        5 => Command::Alert(Prompt {
            kind: PromptKind::Confirm,
            options: String::new(),
            text: "?".to_owned(),
            choices: Vec::new(),
        }),
        6 => Command::Copy { source: uri("./A"), target: uri("./B") },
        1 => set("./B", &"x".repeat(usize::try_from(dice.below(3000)).unwrap())),
        _ => get("./A"),
    }
}

fn any_message(scene: &mut Scene, dice: &mut Dice) -> Message {
    let last_sent = scene.session.as_ref().map_or(0, |session| session.sent);
    let body = (0..dice.below(7)).map(|_| any_element(dice, last_sent)).collect();
    let mut message = scene.message(body);
    message.last = dice.below(4) > 0;
    message.header.credentials = match dice.below(8) {
        0 => Some(shown(AuthType::Digest, "guess", NONCE)),
        1..=3 => Some(right(AuthType::Digest)),
        _ => None,
    };
    message
}

#[test]
fn every_message_is_answered_and_every_batch_comes_back_whole() {
    let (mut offered, mut returned) = (0, 0);
    for seed in 1..=200 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let [xml, wbxml] = scenes();
        let mut scene = if seed % 2 == 0 { xml } else { wbxml };
        scene.takes = Some(4000);
        scene.limits.max_commands = 3;
        let mut batch: Vec<Command> = Vec::new();
        for _ in 0..25 {
            let message = any_message(&mut scene, &mut dice);
            let received = scene.hear(message.clone());
            if !scene.session.as_ref().unwrap().is_authenticated() {
                assert!(received.device.is_empty() && received.alerts.is_empty() && received.answers.is_empty());
                assert!(received.server_nonce.is_none());
            }
            if matches!(received.turn, Turn::Offer | Turn::Aborted | Turn::Exhausted) {
                let answered: Vec<_> = received.answers.into_iter().map(|answer| answer.command).collect();
                assert_eq!(answered, std::mem::take(&mut batch));
                returned += answered.len();
            } else {
                assert!(received.answers.is_empty());
            }
            let commands: Vec<_> = if received.turn == Turn::Offer {
                (0..dice.below(6)).map(|_| any_command(&mut dice)).collect()
            } else {
                Vec::new()
            };
            if received.turn == Turn::Offer {
                batch.clone_from(&commands);
                offered += batch.len();
            }
            let reply = scene.say(commands);
            let Element::Status(first) = &reply.message.body[0] else { panic!("a Status comes first") };
            assert_eq!((first.message, first.command.as_str()), (message.header.message, "0"));
            let to_answer =
                message.body.iter().filter(|element| !matches!(element, Element::Status(_) | Element::Results(_))).count();
            let answered = statuses(&reply).iter().filter(|(_, name, _)| name != "Results").count();
            assert_eq!(answered, to_answer + 1, "one for each command and one for the header");
            let commands = sent(&reply);
            assert!(commands.is_empty() || reply.message.last, "commands stand in complete packages");
            assert!(commands.len() == 1 || commands.iter().all(|(_, name, _)| *name != "Exec"));
            assert!(commands.is_empty() || reply.bytes.len() <= 3800, "a message stays below what the device takes");
            assert_eq!(reply.ended, scene.session.as_ref().unwrap().is_ended());
            assert!(!reply.ended || commands.is_empty());
        }
    }
    assert!(offered > 400 && returned > 300, "{offered} offered, {returned} returned");
}
