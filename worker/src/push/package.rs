//! The packages 0 for one device, ready to be sent.
use dmwsi_domain::account::Side;
use dmwsi_domain::{Error, Result};
use dmwsi_protocol::credentials::account_hash;
use dmwsi_protocol::notification::wsp::{self, push};
use dmwsi_protocol::notification::{CONTENT_TYPE, Notification, PORT, Trigger, UiMode, ZERO_NONCES, udh};
use dmwsi_store::Keys;
use dmwsi_store::wakes::Woken;

use super::settings::{Form, Settings, Ui};

/// The notifications of one attempt: one, or more where the nonce that the device holds is not known.
pub(super) fn notifications(woken: &Woken, sealing: &Keys, settings: &Settings) -> Result<Vec<Vec<u8>>> {
    let account = &woken.account;
    let secret = match &account.server {
        Some(server) => sealing.open_secret(woken.device, Side::Server, &server.secret)?.expose().to_vec(),
        // Such a device cannot check who wakes it.
        None => Vec::new(),
    };
    let secret = String::from_utf8(secret).map_err(|_octets| Error::internal("a secret is no text"))?;
    let ui = match settings.ui {
        Ui::Background => UiMode::Background,
        Ui::Informative => UiMode::Informative,
        Ui::Interactive => UiMode::Interactive,
        Ui::Unspecified => UiMode::Unspecified,
    };
    let trigger = Trigger::new(&account.server_id, woken.session).map_err(Error::internal)?.with_ui(ui);
    let hash = account_hash(&account.server_id, &secret);
    let known = Some(&woken.server_nonce[..]).filter(|nonce| !nonce.is_empty());
    let may_be_lost = settings.zero_nonce_from > 0 && woken.attempt >= settings.zero_nonce_from;
    let zero = ZERO_NONCES.into_iter().filter(|_| known.is_none() || may_be_lost);
    Ok(known.into_iter().chain(zero).map(|nonce| Notification::sign(trigger.clone(), &hash, nonce).encode()).collect())
}

/// The messages that carry a notification in that form.
pub(super) fn carried(form: Form, session: u16, notification: &[u8]) -> Vec<Vec<u8>> {
    let [_, low] = session.to_be_bytes();
    match form {
        Form::Plain => vec![notification.to_vec()],
        Form::Udh => udh::messages(PORT, low, &push(wsp::Form::Short, low, notification)),
        Form::Wsp => vec![push(wsp::Form::Short, low, notification)],
        Form::WspText => vec![push(wsp::Form::Long, low, notification)],
    }
}

/// What such a message is called in a request.
pub(super) const fn content_type(form: Form) -> &'static str {
    match form {
        Form::Plain => CONTENT_TYPE,
        Form::Udh | Form::Wsp | Form::WspText => "application/octet-stream",
    }
}
