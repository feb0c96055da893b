//! Phone systems: a request of theirs → [`domain::call::EndedCall`], and whether the request is authentic.
//!
//! Pure code: nothing here knows the store, the network, the clock or chance; they are passed in.
//!
//! Every phone system is one module, and all have one shape, so that the next one is a new module and a line here:
//!
//! 1. `signature`: is this request the phone system's? It answers before anything of the request is believed.
//! 2. `callback`: the request as a typed value, checked; a refusal names the parameter ([`domain::Invalid`]).
//! 3. `join`, for a system that reports a call in several requests: state and callback in, state and decision
//!    out. The caller keeps the state, sets the alarm for a decision that waits, and records the call that a decision
//!    ends; state and call go into one transaction. A system that reports a call in one request has no `join`,
//!    its `callback` makes the [`EndedCall`](domain::call::EndedCall) itself.
//! 4. What the system wants to hear in return, where that is more than a status.
//!
//! The systems: [`twilio`].

pub mod limits;
pub mod twilio;
