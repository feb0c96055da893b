//! Choosing one call flow of any number: among the newest, or by its name. It stands in the filters of lists and in a
//! number's form; it needs no script.

use super::error::{PageError, sentence};
use super::list::Query;
use super::short;
use crate::app::{App, filter};
use domain::Invalid;
use domain::id::{BusinessId, CallFlowId};

/// Flows to choose from; all others are found by name.
const OPTIONS: usize = 15;
/// The field with the name of one, beside the one with its id.
pub const NAME: &str = "call_flow";
/// The field with the id.
pub const ID: &str = "call_flow_id";

/// The flows to choose from.
pub struct FlowChoice {
    /// Each with its name.
    pub options: Vec<(CallFlowId, String)>,
    /// Whether there are others, which are found by name.
    pub has_others: bool,
    /// Which one is chosen.
    chosen: Option<CallFlowId>,
    /// What a name came to where it was not the name of one; the options are then those that it may mean.
    pub asked: Option<String>,
}

/// What the name that somebody typed means.
pub enum Meant {
    /// This flow.
    One(CallFlowId),
    /// Any of several, or none: it is to be chosen.
    Unclear(FlowChoice),
}

/// What the address of a list comes to.
pub enum Narrowed {
    /// The list, with this choice.
    Here(FlowChoice),
    /// Another address, which has the flow's id in place of its name: it can be shared.
    At(String),
}

impl FlowChoice {
    /// The newest, and the one that is chosen.
    pub async fn of(
        app: &App,
        business_id: BusinessId,
        chosen: Option<CallFlowId>,
    ) -> Result<Self, PageError> {
        let newest = app.store.newest_call_flows(business_id, OPTIONS).await?;
        Self::with(app, business_id, newest.rows, newest.more, chosen).await
    }

    /// What the address of the list at `path` chooses, by id or by name.
    pub async fn of_list(
        app: &App,
        business_id: BusinessId,
        path: &str,
        query: &Query,
    ) -> Result<Narrowed, PageError> {
        let Some(typed) = query.get(NAME) else {
            let chosen = query.get(ID).and_then(|id| id.parse().ok());
            return Ok(Narrowed::Here(Self::of(app, business_id, chosen).await?));
        };
        Ok(match Self::meant(app, business_id, typed, None).await? {
            Meant::One(id) => {
                let others = query.filters_but(&[ID]);
                let others = if others.is_empty() { others } else { format!("{others}&") };
                Narrowed::At(format!("{path}?{others}{ID}={id}"))
            }
            Meant::Unclear(choice) => Narrowed::Here(choice),
        })
    }

    /// What a name means: the flow of just this name, or the one that has it in its name. Where it means none, `kept` stays chosen.
    pub async fn meant(
        app: &App,
        business_id: BusinessId,
        typed: &str,
        kept: Option<CallFlowId>,
    ) -> Result<Meant, PageError> {
        let text =
            filter::search(Some(typed)).map_err(|refused| Invalid::field("call_flow", refused.reason))?;
        let found = app.store.call_flows_named(business_id, text.unwrap_or_default(), OPTIONS).await?;
        let quoted = format!("\u{2068}“{}”\u{2069}", short::line(typed));
        let (options, words) = match &found.rows[..] {
            [(id, _)] => return Ok(Meant::One(*id)),
            [] => {
                let newest = app.store.newest_call_flows(business_id, OPTIONS).await?;
                (newest.rows, format!("No call flow has {quoted} in its name."))
            }
            _ if found.more => {
                let words = format!(
                    "More than {OPTIONS} call flows have {quoted} in their name: choose one of the newest here, or type more of the name."
                );
                (found.rows, words)
            }
            several => {
                let words =
                    format!("{} call flows have {quoted} in their name: choose one here.", several.len());
                (found.rows, words)
            }
        };
        let choice = Self::with(app, business_id, options, true, kept).await?;
        Ok(Meant::Unclear(Self { asked: Some(words), ..choice }))
    }

    /// These options and the one that is chosen, which stands first where it is not among them.
    async fn with(
        app: &App,
        business_id: BusinessId,
        mut options: Vec<(CallFlowId, String)>,
        has_others: bool,
        chosen: Option<CallFlowId>,
    ) -> Result<Self, PageError> {
        if let Some(id) = chosen.filter(|id| options.iter().all(|(known, _)| known != id)) {
            let name = app.store.call_flow_names(business_id, vec![id]).await?.remove(&id);
            options.insert(0, (id, name.unwrap_or_else(|| "deleted flow".to_owned())));
        }
        Ok(Self { options: told_apart(options), has_others, chosen, asked: None })
    }

    /// What narrows the list, and what is wrong with it: what was refused, or a name that means no flow.
    pub fn narrow<F>(&self, filter: Result<F, Invalid>) -> (Option<F>, Option<String>) {
        match (filter, &self.asked) {
            (Err(refused), _) => (None, Some(sentence(&refused.to_string()))),
            (Ok(_), Some(words)) => (None, Some(words.clone())),
            (Ok(filter), None) => (Some(filter), None),
        }
    }

    /// Whether it is the one that is chosen.
    pub fn is(&self, id: &CallFlowId) -> bool {
        self.chosen.as_ref() == Some(id)
    }

    /// What the chosen one is called.
    pub fn name(&self) -> Option<&str> {
        self.options.iter().find(|(id, _)| self.is(id)).map(|(_, name)| name.as_str())
    }
}

/// Refuses a name where only a flow that is settled will do: whatever it means, more than that would match without it.
pub fn check_settled(query: &Query) -> Result<(), Invalid> {
    match query.get(NAME) {
        Some(_) => Err(Invalid::value("this needs one call flow: choose it in the list first")),
        None => Ok(()),
    }
}

/// Names that stand twice get the time beside them at which their flow was made.
fn told_apart(options: Vec<(CallFlowId, String)>) -> Vec<(CallFlowId, String)> {
    let names: Vec<String> = options.iter().map(|(_, name)| short::line(name).into_owned()).collect();
    let is_alone = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let told = options.into_iter().zip(&names).map(|((id, _), name)| {
        let name = if is_alone(name) {
            name.clone()
        } else {
            format!("{name} · made {}", id.made_at().to_rfc3339_millis())
        };
        (id, name)
    });
    told.collect()
}
