//! Watches every statement: counts it, remembers how it failed, and logs the slow ones without their values.
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent};

use crate::failed::{Damage, damage};

thread_local! {
    static DAMAGE: Cell<Damage> = const { Cell::new(Damage::None) };
}

/// The worst that a statement of this thread suffered since the last call. A closure may swallow an error; its transaction does not.
pub(crate) fn take_damage() -> Damage {
    DAMAGE.take()
}

/// What one connection's statements are reported to.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    statements: Arc<AtomicU64>,
    slow: Duration,
    began: Option<Instant>,
}

impl Watch {
    pub(crate) const fn new(statements: Arc<AtomicU64>, slow: Duration) -> Self {
        Self { statements, slow, began: None }
    }
}

impl Instrumentation for Watch {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => {
                self.statements.fetch_add(1, Ordering::Relaxed);
                self.began = Some(Instant::now());
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                if let Some(error) = error {
                    DAMAGE.set(DAMAGE.get().max(damage(error)));
                }
                let took = self.began.take().map_or(Duration::ZERO, |began| began.elapsed());
                if took >= self.slow {
                    let text = query.to_string();
                    let statement = text.split(" -- binds:").next().unwrap_or_default();
                    tracing::warn!(took_ms = took.as_millis(), statement, "slow statement, {} ms", took.as_millis());
                }
            }
            _ => {}
        }
    }
}
