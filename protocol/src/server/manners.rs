//! How the server speaks to a device that is known to differ.

/// How the server speaks to a device: what is known of it beyond what it says itself. The default is how it speaks to one of which nothing is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Manners {
    /// An Add or a Replace without a value has no Data element.
    pub omits_empty_data: bool,
    /// An Exec has no correlator.
    pub omits_correlator: bool,
    /// Several commands of one message are a Sequence.
    pub sequence: bool,
    /// The most commands in one message.
    pub max_commands: Option<usize>,
    /// The largest message, in bytes, whatever the device says.
    pub max_message: Option<u32>,
    /// The largest message, in bytes, where the device says nothing.
    pub usual_max_message: Option<u32>,
    /// The largest value in pieces, in bytes, whatever the device says.
    pub max_object: Option<u32>,
    /// The largest value in pieces, in bytes, where the device says nothing.
    pub usual_max_object: Option<u32>,
}

impl Manners {
    /// The largest message that may be sent, where there is a limit; `said` is the device's own.
    pub(super) fn message_limit(&self, said: Option<u32>) -> Option<u32> {
        limit(said, self.usual_max_message, self.max_message)
    }

    /// The largest value that may be sent in pieces, where there is a limit; `said` is the device's own.
    pub(super) fn object_limit(&self, said: Option<u32>) -> Option<u32> {
        limit(said, self.usual_max_object, self.max_object)
    }
}

fn limit(said: Option<u32>, usual: Option<u32>, most: Option<u32>) -> Option<u32> {
    let said = said.filter(|size| *size > 0).or(usual);
    match (said, most) {
        (Some(said), Some(most)) => Some(said.min(most)),
        (said, most) => said.or(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_holds_and_what_was_said_before_where_nothing_is_said() {
        let manners = Manners { max_message: Some(5_000), usual_max_message: Some(4_000), ..Manners::default() };
        assert_eq!(manners.message_limit(None), Some(4_000));
        assert_eq!((manners.message_limit(Some(9_000)), manners.message_limit(Some(2_000))), (Some(5_000), Some(2_000)));
        assert_eq!((Manners::default().object_limit(None), Manners::default().object_limit(Some(0))), (None, None));
        let most = Manners { max_object: Some(7), ..Manners::default() };
        assert_eq!((most.object_limit(None), most.object_limit(Some(6))), (Some(7), Some(6)));
    }
}
