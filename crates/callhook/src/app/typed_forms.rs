//! Forms that were typed and not saved, kept for some minutes for the page that the answer to them leads to: what a person has typed may
//! hold secrets, which stand in no address.

use domain::id::{BusinessId, CallFlowId, DeliveryId, SessionId};
use domain::secret::Secret;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a form is kept: while somebody makes a webhook work, and not over lunch.
const KEPT: Duration = Duration::from_mins(10);
/// Forms that are kept: 16 MiB where each is as long as a form may be, and some 64 KiB mostly. The oldest goes of the business that has most.
const FORMS_MAX: usize = 64;

/// The forms of tests that were sent with unsaved settings.
#[derive(Debug, Default)]
pub struct TypedForms(Mutex<VecDeque<Typed>>);

#[derive(Debug)]
struct Typed {
    by: SessionId,
    business: BusinessId,
    flow: CallFlowId,
    tested_as: DeliveryId,
    until: Instant,
    form: Secret,
}

impl TypedForms {
    /// Keeps what was typed for the business's flow in this session and tested so.
    pub fn keep(
        &self,
        by: SessionId,
        (business, flow): (BusinessId, CallFlowId),
        tested_as: DeliveryId,
        form: Secret,
    ) {
        let mut kept = self.kept();
        if kept.len() >= FORMS_MAX {
            let has = |typed: &Typed| kept.iter().filter(|other| other.business == typed.business).count();
            // The oldest of several that are equal.
            let goes = (0..kept.len()).rev().max_by_key(|at| has(&kept[*at]));
            goes.map(|at| kept.remove(at));
        }
        kept.push_back(Typed { by, business, flow, tested_as, until: Instant::now() + KEPT, form });
    }

    /// What was typed in this session and tested so, while it is kept.
    #[must_use]
    pub fn recall(&self, by: SessionId, tested_as: DeliveryId) -> Option<Secret> {
        let kept = self.kept();
        let typed = kept.iter().find(|typed| typed.by == by && typed.tested_as == tested_as);
        typed.map(|typed| typed.form.clone())
    }

    /// Forgets what was typed for the flow in this session: it is saved.
    pub fn forget(&self, by: SessionId, flow: CallFlowId) {
        self.kept().retain(|typed| (typed.by, typed.flow) != (by, flow));
    }

    /// Forgets those whose time is over.
    pub fn forget_old(&self) {
        drop(self.kept());
    }

    /// Those that are within their time.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Typed>> {
        // Whole after every step: a panic elsewhere has not left it in between.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|typed| now < typed.until);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_form_is_kept_for_its_session_and_its_test_until_it_is_saved_or_its_time_is_over() {
        let forms = TypedForms::default();
        let (ann, bob) = (SessionId::from([1; 16]), SessionId::from([2; 16]));
        let (ads, other) = (CallFlowId::from([1; 16]), CallFlowId::from([2; 16]));
        let (own, rival) = (BusinessId::from([1; 16]), BusinessId::from([2; 16]));
        let test = |number: u8| DeliveryId::from([number; 16]);
        let has = |by, number| forms.recall(by, test(number)).is_some();
        forms.keep(ann, (rival, ads), test(1), Secret::new("name=Ads"));
        assert_eq!(forms.recall(ann, test(1)), Some(Secret::new("name=Ads")));
        assert!(!has(bob, 1) && !has(ann, 2));
        forms.keep(ann, (rival, other), test(3), Secret::new("name=Other"));
        forms.keep(bob, (own, ads), test(2), Secret::new("name=Ads"));
        forms.forget(ann, ads);
        assert!(!has(ann, 1) && has(ann, 3) && has(bob, 2));
        tokio::time::advance(KEPT).await;
        assert!(!has(ann, 3) && !has(bob, 2));
        forms.keep(bob, (own, ads), test(255), Secret::new(""));
        for number in 0..=u8::try_from(FORMS_MAX).unwrap() {
            forms.keep(ann, (rival, ads), test(number), Secret::new(""));
        }
        assert!(!has(ann, 0) && !has(ann, 1) && has(ann, 2) && forms.kept().len() == FORMS_MAX);
        assert!(has(bob, 255), "another business takes nothing of it");
    }
}
