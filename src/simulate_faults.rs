//! What simulated devices get wrong, about updates and about messages: options of `dmwsi simulate`.
use std::time::Duration;

use clap::Args;
use dmwsi_domain::Clock;
use dmwsi_objects::StatusCode;
use dmwsi_protocol::device::Quirks;
use dmwsi_simulator::Behaviour;

/// What keeps devices from updates, and what they do to their messages.
#[derive(Args)]
#[command(next_help_heading = "Faults of the devices")]
pub(crate) struct Faults {
    /// The users decline every update.
    #[arg(long, conflicts_with = "defer")]
    decline: bool,
    /// The users put the first update off for so many seconds from now, then they agree.
    #[arg(long, value_name = "SECONDS")]
    defer: Option<u64>,
    /// The users are asked when the package is there, in place of before the download.
    #[arg(long)]
    ask_late: bool,
    /// The first N installations of each device end for want of power.
    #[arg(long, value_name = "N", default_value_t = 0)]
    low_battery: u32,
    /// The first N orders of each device end for want of memory.
    #[arg(long, value_name = "N", default_value_t = 0)]
    out_of_memory: u32,
    /// Every Exec is answered with this status, such as 417, and not carried out.
    #[arg(long, value_name = "STATUS")]
    refuse_exec: Option<u16>,
    /// A package is lost between download and installation: the Exec of Update comes in the wrong state.
    #[arg(long)]
    lose_package: bool,
    /// Each download breaks once after so many bytes, and is resumed; several with commas between.
    #[arg(long, value_name = "BYTES", value_delimiter = ',')]
    break_downloads: Vec<u64>,
    /// A download is given up where it breaks, in place of being resumed.
    #[arg(long)]
    give_up_downloads: bool,
    /// The largest package that fits into a device, in bytes.
    #[arg(long, value_name = "BYTES")]
    max_package: Option<u64>,
    /// The largest value that a device takes in pieces, in bytes; it is told to the server.
    #[arg(long, value_name = "BYTES")]
    max_object: Option<u32>,
    /// Devices ask for a download descriptor, and send its install notification.
    #[arg(long)]
    descriptor: bool,
    /// Devices send their first package in several messages, and few elements in each that follows.
    #[arg(long)]
    split_packages: bool,
    /// Devices send every message twice.
    #[arg(long)]
    send_twice: bool,
    /// In every session the answer to the Nth message of a device gets lost, and it sends the same message again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    lose_reply: Option<u32>,
    /// Devices swap the two bytes of the SessionID that a notification asks for.
    #[arg(long)]
    swap_session_id: bool,
}

impl Faults {
    /// Otherwise a good device.
    pub(crate) fn behaviour(&self) -> Behaviour {
        let good = Behaviour::default();
        Behaviour {
            decline: self.decline,
            defer_until: self.defer.map(|seconds| Clock::System.now().plus(Duration::from_secs(seconds)).to_string()),
            ask_late: self.ask_late,
            low_battery: self.low_battery,
            out_of_memory: self.out_of_memory,
            refuse_exec: self.refuse_exec.map(StatusCode),
            lose_package: self.lose_package,
            break_downloads: self.break_downloads.clone(),
            download_tries: if self.give_up_downloads { 0 } else { good.download_tries },
            max_package: self.max_package.unwrap_or(good.max_package),
            max_object: self.max_object,
            wants_descriptor: self.descriptor,
            send_twice: self.send_twice,
            lose_reply: self.lose_reply,
            quirks: Quirks { splits_packages: self.split_packages, swapped_session_id: self.swap_session_id, ..good.quirks },
            ..good
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};
    use dmwsi_simulator::Make;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        faults: Faults,
    }

    const FAULTS: [&str; 4] = ["--split-packages", "--send-twice", "--lose-reply", "--swap-session-id"];

    fn of(arguments: &[&str]) -> Option<Behaviour> {
        Some(Line::try_parse_from([&["simulate"], arguments].concat()).ok()?.faults.behaviour())
    }

    #[test]
    fn what_a_device_does_to_its_messages_can_be_chosen_and_any_make_does_it() {
        assert_eq!(of(&[]), Some(Behaviour::default()));
        let [splits, twice, lost, swapped] = FAULTS;
        let shown = |behaviour: &Behaviour| {
            let Behaviour { send_twice, lose_reply, quirks, .. } = behaviour;
            (quirks.splits_packages, *send_twice, *lose_reply, quirks.swapped_session_id)
        };
        for (arguments, expected) in [
            (&[splits][..], (true, false, None, false)),
            (&[twice], (false, true, None, false)),
            (&[lost, "2"], (false, false, Some(2), false)),
            (&[swapped], (false, false, None, true)),
        ] {
            let behaviour = of(arguments).unwrap();
            assert_eq!(shown(&behaviour), expected, "{arguments:?}");
            for make in Make::ALL {
                assert_eq!(shown(&make.of(behaviour.clone())), expected, "{arguments:?} {}", make.name());
            }
        }
        assert_eq!(of(&[lost, "0"]), None, "messages are counted from 1");
    }

    #[test]
    fn help_names_every_fault_of_messages() {
        let help = Line::command().render_long_help().to_string();
        for fault in FAULTS {
            assert!(help.contains(fault), "{fault} in {help}");
        }
    }
}
