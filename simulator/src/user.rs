//! Who holds a device.
use dmwsi_objects::{Prompt, PromptKind, StatusCode};
use serde::{Deserialize, Serialize};

/// What the user does when the server tells or asks something (alerts 1100 to 1104).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct User {
    /// What kind of user it is.
    pub mood: Mood,
    /// The text that is typed, or the numbers of the choices that are made; where it is empty, what the server suggests, or else the first.
    pub says: Vec<String>,
}

/// What kind of user it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mood {
    /// Away: what the server suggests is the answer and, where it suggests nothing, there is none (408).
    Away,
    /// Cancels (214).
    Cancelling,
    /// Has no screen to look at (406).
    #[default]
    None,
    /// Says no (304); answers where it is no matter of yes and no.
    Unwilling,
    /// Says yes, and answers.
    Willing,
}

impl User {
    /// What comes of a prompt.
    pub(crate) fn prompted(&self, prompt: &Prompt) -> (StatusCode, Vec<String>) {
        let suggested = option(&prompt.options, "DR").map(|text| suggestion(prompt.kind, &text));
        match self.mood {
            Mood::None => (StatusCode::NOT_SUPPORTED, Vec::new()),
            Mood::Cancelling => (StatusCode::CANCELLED, Vec::new()),
            Mood::Unwilling if prompt.kind == PromptKind::Confirm => (StatusCode::NOT_MODIFIED, Vec::new()),
            Mood::Away => match (prompt.kind, suggested) {
                (PromptKind::Display, _) => (StatusCode::OK, Vec::new()),
                (_, None) => (StatusCode::TIMED_OUT, Vec::new()),
                (PromptKind::Confirm, Some(text)) => {
                    (if text == ["1"] { StatusCode::OK } else { StatusCode::NOT_MODIFIED }, Vec::new())
                }
                (_, Some(texts)) => (StatusCode::OK, texts),
            },
            Mood::Unwilling | Mood::Willing => (StatusCode::OK, self.answer(prompt, suggested)),
        }
    }

    fn answer(&self, prompt: &Prompt, suggested: Option<Vec<String>>) -> Vec<String> {
        let own = if self.says.is_empty() { suggested.unwrap_or_default() } else { self.says.clone() };
        match prompt.kind {
            PromptKind::Display | PromptKind::Confirm => Vec::new(),
            PromptKind::TextInput => {
                let most = option(&prompt.options, "MAXLEN").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
                vec![own.join("").chars().take(most).collect()]
            }
            PromptKind::SingleChoice => vec![own.into_iter().next().unwrap_or_else(|| "1".to_owned())],
            PromptKind::MultipleChoice => own,
        }
    }
}

/// The value of an option, wherever it stands: some servers forget the `&` between two.
fn option(options: &str, name: &str) -> Option<String> {
    let (_, rest) = options.split_once(&format!("{name}="))?;
    Some(rest.split('&').next().unwrap_or_default().to_owned())
}

/// What a server suggests as an answer (`DR`), in the form of an answer.
fn suggestion(kind: PromptKind, text: &str) -> Vec<String> {
    match kind {
        PromptKind::MultipleChoice => text.split('-').filter(|number| !number.is_empty()).map(str::to_owned).collect(),
        PromptKind::TextInput => vec![percent_decoded(text)],
        _ => vec![text.to_owned()],
    }
}

/// A text as a URL has it: `+` for a blank, `%` for what would not go otherwise.
fn percent_decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = if first == b'%' { tail.first_chunk::<2>() } else { None };
        let decoded = pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        octets.push(decoded.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_user_leaves_what_the_server_suggests() {
        let user = User { mood: Mood::Away, says: Vec::new() };
        for (kind, options, expected) in [
            (PromptKind::Display, "", (200, vec![])),
            (PromptKind::Confirm, "MAXDT=15", (408, vec![])),
            (PromptKind::Confirm, "MAXDT=15DR=1", (200, vec![])),
            (PromptKind::Confirm, "DR=0&MAXDT=15", (304, vec![])),
            (PromptKind::TextInput, "DR=a+b%26c", (200, vec!["a b&c"])),
            (PromptKind::SingleChoice, "DR=2", (200, vec!["2"])),
            (PromptKind::MultipleChoice, "DR=2-3", (200, vec!["2", "3"])),
        ] {
            let prompt = Prompt { kind, options: options.to_owned(), text: String::new(), choices: Vec::new() };
            let (status, said) = user.prompted(&prompt);
            assert_eq!((status.0, said.iter().map(String::as_str).collect()), expected, "{kind:?} {options}");
        }
    }
}
