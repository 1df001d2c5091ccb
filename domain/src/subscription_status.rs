//! Where a subscription stands, and why: the words of its states and of its events.
use crate::words::words;

words! {
    /// Where a subscription stands.
    SubscriptionStatus {
        /// The receiver has not said yet that it wants the events.
        ActivationRequested = "ACTIVATION_REQUESTED",
        /// Events are delivered.
        Active = "ACTIVE",
        /// Nothing is delivered until it is made active again.
        Inactive = "INACTIVE",
        /// It is over, by itself.
        Expired = "EXPIRED",
        /// It is over, as its client wanted.
        Deleted = "DELETED",
    }
}

impl SubscriptionStatus {
    /// Whether nothing new will be delivered.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Deleted)
    }
}

words! {
    /// Why a subscription stands where it does.
    StatusReason {
        /// Its bearer token is about to expire.
        AccessTokenExpired = "ACCESS_TOKEN_EXPIRED",
        /// Nothing but failures for days.
        DeliveryFailing = "DELIVERY_FAILING",
        /// The receiver says that it is gone (410).
        Gone = "GONE",
        /// The receiver did not say that it wants the events.
        HandshakeFailed = "HANDSHAKE_FAILED",
        /// As many events as were wanted.
        MaxEventsReached = "MAX_EVENTS_REACHED",
        /// Its client switched it off.
        SwitchedOff = "SWITCHED_OFF",
        /// Its time, or its job, is over.
        SubscriptionExpired = "SUBSCRIPTION_EXPIRED",
    }
}

words! {
    /// Why a subscription ended.
    TerminationReason {
        /// Its bearer token is about to expire.
        AccessTokenExpired = "ACCESS_TOKEN_EXPIRED",
        /// As many events as were wanted.
        MaxEventsReached = "MAX_EVENTS_REACHED",
        /// Its client deleted it.
        SubscriptionDeleted = "SUBSCRIPTION_DELETED",
        /// Its time, or its job, is over.
        SubscriptionExpired = "SUBSCRIPTION_EXPIRED",
    }
}

words! {
    /// Why a subscription began.
    InitiationReason {
        /// Its client made it.
        SubscriptionCreated = "SUBSCRIPTION_CREATED",
    }
}

words! {
    /// How a subscription was changed.
    UpdateReason {
        /// It is active.
        SubscriptionActive = "SUBSCRIPTION_ACTIVE",
        /// It is not.
        SubscriptionInactive = "SUBSCRIPTION_INACTIVE",
    }
}
