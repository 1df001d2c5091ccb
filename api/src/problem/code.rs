//! The table of the public codes.
use actix_web::http::StatusCode;

macro_rules! problems {
    ($(#[doc = $title:literal] #[doc = $explanation:literal] $name:ident = $status:ident, $code:literal;)*) => {
        /// The public codes. The first doc line of each is its title (RFC 9457, 3.1.3), the second tells the caller what to do.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Code {
            $(#[doc = $title] #[doc = $explanation] $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire, upper snake case and stable.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The one status it goes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            /// The title, the same for each occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title.trim(),)*
                }
            }

            /// What it means and what to do about it.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => $explanation.trim(),)*
                }
            }
        }
    };
}

problems! {
    /// The request cannot be understood
    /// Some part of the request (a header, a parameter, the body) is not of its form. Correct it; the same request fails again.
    InvalidArgument = BAD_REQUEST, "INVALID_ARGUMENT";
    /// A value is out of range
    /// A number or a length is outside its limits. Correct it; the same request fails again.
    OutOfRange = BAD_REQUEST, "OUT_OF_RANGE";
    /// Authentication is needed
    /// There is no access token, or it is not valid (any more). Get a new one from the token endpoint.
    Unauthenticated = UNAUTHORIZED, "UNAUTHENTICATED";
    /// The token does not allow this
    /// The access token lacks the scope of this operation, or the thing may not be touched by this client.
    PermissionDenied = FORBIDDEN, "PERMISSION_DENIED";
    /// The bytes are not those the request promises
    /// A header Content-Digest or Repr-Digest says something else of the bytes that came: they were altered on the way, or cut. Send them again.
    DigestMismatchedValues = BAD_REQUEST, "DIGEST_MISMATCHED_VALUES";
    /// The upload has another length than it should
    /// A part ends behind the Upload-Length that was given, another Upload-Length was given before, or the last part ends too early.
    InconsistentUploadLength = BAD_REQUEST, "INCONSISTENT_UPLOAD_LENGTH";
    /// The protocol is not one that events are delivered by
    /// Events are delivered by `HTTP`.
    InvalidProtocol = BAD_REQUEST, "INVALID_PROTOCOL";
    /// The credential for the receiver cannot be used
    /// A sinkCredential is an `ACCESSTOKEN`, `CLIENT_CREDENTIALS` or `PRIVATE_KEY_JWT` for a token endpoint at a public https address, or `MUTUAL_TLS` with a certificate and its key; the errors say what is wrong.
    InvalidCredential = BAD_REQUEST, "INVALID_CREDENTIAL";
    /// The token for the receiver cannot be used
    /// Only bearer tokens are presented, and only until shortly before they are over.
    InvalidToken = BAD_REQUEST, "INVALID_TOKEN";
    /// Events are not delivered to that address
    /// A sink is a public https address without user name and fragment. The operator can allow others (`egress.allow`).
    InvalidSink = BAD_REQUEST, "INVALID_SINK";
    /// There is no such thing
    /// The address or id names nothing, or nothing that belongs to your organisation.
    NotFound = NOT_FOUND, "NOT_FOUND";
    /// The method does not exist here
    /// The address is right, the method is not; the header Allow names those that exist.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED";
    /// There is no such representation
    /// Nothing the header Accept asks for can be given.
    NotAcceptable = NOT_ACCEPTABLE, "NOT_ACCEPTABLE";
    /// The body came too slowly
    /// The sender brought fewer bytes a second than the server waits for. Use an upload that can be resumed.
    TooSlow = REQUEST_TIMEOUT, "TOO_SLOW";
    /// Somebody else was faster
    /// The thing was changed at the same time. Read it again, decide again.
    Aborted = CONFLICT, "ABORTED";
    /// It exists already
    /// Something of that identity is there already.
    AlreadyExists = CONFLICT, "ALREADY_EXISTS";
    /// The clientCorrelator was used for another request
    /// A clientCorrelator names one job of a client. Take a new one for a new job.
    ClientCorrelatorReused = CONFLICT, "CLIENT_CORRELATOR_REUSED";
    /// Another container has that id
    /// A containerId stands for the same bytes for ever. Give a changed container a new one.
    ContainerIdReused = CONFLICT, "CONTAINER_ID_REUSED";
    /// The part of the upload begins elsewhere
    /// The header Upload-Offset of the answer says how many bytes are there: the next part begins with the byte that follows.
    MismatchingUploadOffset = CONFLICT, "MISMATCHING_UPLOAD_OFFSET";
    /// Too many uploads are open
    /// A client has a limited number of uploads at a time. Complete or delete one.
    TooManyUploads = CONFLICT, "TOO_MANY_UPLOADS";
    /// The job is over
    /// All of the job has ended, so it cannot be changed or cancelled any more.
    JobFinished = CONFLICT, "JOB_FINISHED";
    /// The job has not ended
    /// There is a result only when all of the job has ended. Wait for it, then send the same again.
    JobNotFinished = CONFLICT, "JOB_NOT_FINISHED";
    /// The job was acknowledged already
    /// It was acknowledged with another reference, which stands in the job. What was said first stays.
    AcknowledgedAlready = CONFLICT, "ACKNOWLEDGED_ALREADY";
    /// What you ask for is not kept any more
    /// The log of events is kept for a limited time, and where you want to go on lies before it. Read anew what matters to you, then begin without a cursor.
    CursorExpired = GONE, "CURSOR_EXPIRED";
    /// The device has no push address
    /// A device is woken at its push address. Give it one first, or wait until it calls by itself.
    NoPushAddress = CONFLICT, "NO_PUSH_ADDRESS";
    /// The device has no secret
    /// The device proves itself by its certificate, so there is nothing that it could be told. Give it an account with a password first.
    NoSecret = CONFLICT, "NO_SECRET";
    /// The present state forbids it
    /// The thing is in a state in which this cannot be done.
    IncompatibleState = CONFLICT, "INCOMPATIBLE_STATE";
    /// The first request with this Idempotency-Key still runs
    /// Wait a little and send the same request again: its answer comes then.
    IdempotencyKeyInUse = CONFLICT, "IDEMPOTENCY_KEY_IN_USE";
    /// The thing was changed since you read it
    /// The header If-Match names an older revision. Read the thing again, decide again.
    FailedPrecondition = PRECONDITION_FAILED, "FAILED_PRECONDITION";
    /// The body is too large
    /// The body is larger than the server takes here.
    PayloadTooLarge = PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE";
    /// The body is of another type than taken here
    /// The header Content-Type (or Content-Encoding) names something this operation does not read.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE";
    /// The request makes sense but cannot be done
    /// The request is of the right form, but what it says cannot be; the errors say where.
    Unprocessable = UNPROCESSABLE_ENTITY, "UNPROCESSABLE";
    /// The server does not connect to that address
    /// The address is not public, or not of a kind that the server connects to. The operator can allow it (`egress.allow`).
    AddressForbidden = UNPROCESSABLE_ENTITY, "ADDRESS_FORBIDDEN";
    /// The container has expired
    /// Its manifest says that it must not be taken any more.
    ContainerExpired = UNPROCESSABLE_ENTITY, "CONTAINER_EXPIRED";
    /// The archive is not of its form
    /// A container is a tar of regular files with plain names, `manifest.json` first, two empty blocks last.
    ContainerFormatInvalid = UNPROCESSABLE_ENTITY, "CONTAINER_FORMAT_INVALID";
    /// A payload is not what the manifest promises
    /// The bytes of a member of the container do not hash to what its manifest says.
    DigestMismatch = UNPROCESSABLE_ENTITY, "DIGEST_MISMATCH";
    /// A limit is exceeded
    /// The container, its manifest or a member is larger, deeper or more numerous than the server takes.
    LimitExceeded = UNPROCESSABLE_ENTITY, "LIMIT_EXCEEDED";
    /// The manifest cannot be
    /// The manifest is no JSON of its form, or contradicts itself; the errors say where.
    ManifestInvalid = UNPROCESSABLE_ENTITY, "MANIFEST_INVALID";
    /// Its bytes were lost
    /// The container came whole, but its bytes were gone when it was to be judged. Deliver it again.
    BytesLost = UNPROCESSABLE_ENTITY, "BYTES_LOST";
    /// A member is missing
    /// The manifest names a member that the container does not have.
    MemberMissing = UNPROCESSABLE_ENTITY, "MEMBER_MISSING";
    /// A member is not expected
    /// The container has a member that its manifest does not name.
    MemberUnexpected = UNPROCESSABLE_ENTITY, "MEMBER_UNEXPECTED";
    /// There is no room for it
    /// Your organisation has as much available as it may have (withdraw some), or as much that is not judged yet (try again later).
    QuotaExceeded = UNPROCESSABLE_ENTITY, "QUOTA_EXCEEDED";
    /// The sequence number was used
    /// Each container of an originator has a greater sequence number than the one before.
    SequenceReplay = UNPROCESSABLE_ENTITY, "SEQUENCE_REPLAY";
    /// A payload has another length than promised
    /// A member of the container is not as long as its manifest says.
    SizeMismatch = UNPROCESSABLE_ENTITY, "SIZE_MISMATCH";
    /// The manifest wants something that is not done here
    /// It says something that this server does not do; the errors say where.
    Unsupported = UNPROCESSABLE_ENTITY, "UNSUPPORTED";
    /// The manifest has a critical member that is not known here
    /// Its list `critical` names something that a reader must understand, and this server does not.
    UnsupportedCritical = UNPROCESSABLE_ENTITY, "UNSUPPORTED_CRITICAL";
    /// Something is listed twice
    /// An item of a list stands there before already; the errors say which.
    Duplicate = UNPROCESSABLE_ENTITY, "DUPLICATE";
    /// The Idempotency-Key was used for another request
    /// A key belongs to one request for 24 hours. Take a new key for a new request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED";
    /// The header If-Match is needed
    /// A change must name the revision it was decided on: send the ETag of your last read as If-Match.
    PreconditionRequired = PRECONDITION_REQUIRED, "PRECONDITION_REQUIRED";
    /// Too many requests
    /// Wait as long as the header Retry-After says.
    TooManyRequests = TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS";
    /// The server failed
    /// The fault is ours, and its cause is in our log. Name the correlator when you ask about it.
    Internal = INTERNAL_SERVER_ERROR, "INTERNAL";
    /// The server cannot do this right now
    /// Try again a little later; the header Retry-After says when.
    Unavailable = SERVICE_UNAVAILABLE, "UNAVAILABLE";
}

impl Code {
    /// The code of that name, if it is in the table.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// The last segment of its type: `invalid-argument`.
    #[must_use]
    pub fn slug(self) -> String {
        self.as_str().to_ascii_lowercase().replace('_', "-")
    }

    /// The code a status stands for, where nothing more exact is known.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let listed = Self::ALL.iter().copied().find(|code| code.status() == status);
        listed.unwrap_or(if status.is_client_error() { Self::InvalidArgument } else { Self::Internal })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_unique_an_error_and_explained() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert!(!code.title().ends_with('.') && code.explanation().ends_with('.'), "{code:?}");
            assert_eq!(Code::named(code.as_str()), Some(*code));
            assert!(code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code:?}");
        }
    }
}
