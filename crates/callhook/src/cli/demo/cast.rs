//! The forty calls: every status, several alphabets, both firing modes, two ways of coming in.

/// The call flows, by what their receivers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    /// Immediate, to an endpoint that takes everything.
    GoogleAds,
    /// Waits for AI, to an endpoint that refuses first attempts.
    Website,
    /// Immediate, to an endpoint that is sometimes too slow.
    Partner,
    /// Immediate, to an endpoint that redirects.
    Sheets,
    /// Immediate, to an endpoint that has moved away.
    OldCrm,
    /// Waits for AI, and is switched off before it comes.
    Paused,
    /// Has no webhook.
    NoWebhook,
}

/// How a call comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `POST /calls`.
    Api,
    /// Three signed Twilio callbacks.
    Twilio,
}

/// What becomes of a call's AI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ai {
    /// Nobody pushes an analysis.
    None,
    /// An analysis is pushed.
    Pushed,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub flow: Flow,
    pub way: Way,
    pub ai: Ai,
    pub caller: &'static str,
    pub status: &'static str,
    pub seconds: u32,
    pub says: &'static str,
}

const fn api(
    flow: Flow,
    caller: &'static str,
    status: &'static str,
    seconds: u32,
    says: &'static str,
) -> Call {
    Call { flow, way: Way::Api, ai: Ai::None, caller, status, seconds, says }
}

const fn analysed(flow: Flow, caller: &'static str, seconds: u32, says: &'static str) -> Call {
    Call { flow, way: Way::Api, ai: Ai::Pushed, caller, status: "completed", seconds, says }
}

const fn twilio(caller: &'static str, status: &'static str, seconds: u32) -> Call {
    Call { flow: Flow::GoogleAds, way: Way::Twilio, ai: Ai::None, caller, status, seconds, says: "" }
}

/// All of them, in the order in which they are played.
pub fn calls() -> Vec<Call> {
    use Flow::{GoogleAds, NoWebhook, OldCrm, Partner, Paused, Sheets, Website};
    vec![
        api(GoogleAds, "+13055559876", "completed", 145, "Hi, I need a quote for a new AC unit."),
        api(GoogleAds, "+13055550112", "no-answer", 0, ""),
        analysed(Website, "+442079460958", 210, "Good afternoon, my boiler is leaking — can you come today?"),
        twilio("+13055550101", "completed", 95),
        api(
            Partner,
            "+4930901820",
            "completed",
            75,
            "Guten Tag, ich hätte gern ein Angebot für eine Wärmepumpe.",
        ),
        api(OldCrm, "+13055550133", "completed", 31, "Is this still your number?"),
        api(GoogleAds, "anonymous", "voicemail", 22, "Please call me back."),
        analysed(Website, "+33142685300", 180, "Bonjour, je voudrais prendre rendez-vous pour la clinique."),
        api(Sheets, "+13055550144", "completed", 64, "Can you put me on the list?"),
        twilio("+13055550102", "busy", 0),
        api(Partner, "+13055550155", "completed", 20, "Wrong number, sorry."),
        api(GoogleAds, "+81312345678", "completed", 88, "もしもし、見積もりをお願いできますか。"),
        analysed(Website, "+972231234567", 120, "שלום, אני צריך טכנאי מזגנים."),
        api(Paused, "+13055550166", "completed", 45, "Are you open on Sunday?"),
        api(NoWebhook, "+13055550177", "completed", 12, ""),
        twilio("+13055550103", "no-answer", 0),
        api(GoogleAds, "+13055550188", "busy", 0, ""),
        api(Sheets, "+5511912345678", "completed", 50, "Olá, vocês atendem aos sábados?"),
        analysed(Website, "+966112345678", 140, "السلام عليكم، أريد عرض سعر."),
        api(OldCrm, "+13055550199", "no-answer", 0, ""),
        api(Partner, "+13055550211", "failed", 0, ""),
        twilio("+13055550104", "completed", 240),
        api(GoogleAds, "+380441234567", "completed", 71, "Добрий день, скільки коштує ремонт?"),
        api(Website, "+13055550222", "completed", 33, "Only the fallback will send this one."),
        analysed(Website, "+919812345678", 95, "नमस्ते, मुझे कल का समय चाहिए।"),
        api(Sheets, "+13055550233", "voicemail", 18, "It's me again. Call me."),
        api(GoogleAds, "+13055550244", "failed", 0, ""),
        twilio("anonymous", "completed", 15),
        api(
            Partner,
            "+13055550255",
            "completed",
            190,
            "I would like to talk about the \"gold\" plan <b>today</b>.",
        ),
        api(GoogleAds, "+8613812345678", "completed", 66, "你好，我想预约安装。"),
        analysed(Website, "+13055550266", 77, "Stop calling me! This is spam."),
        api(Paused, "+13055550277", "completed", 21, "One more for the switched-off flow."),
        api(Website, "+13055550288", "no-answer", 0, ""),
        twilio("+13055550105", "failed", 0),
        api(Sheets, "+302101234567", "completed", 41, "Καλημέρα, θέλω μια προσφορά."),
        api(GoogleAds, "+13055550299", "completed", 305, "A long talk about 😀 emoji, tabs\tand\nlines."),
        api(OldCrm, "+13055550311", "busy", 0, ""),
        analysed(Website, "+6621234567", 58, "สวัสดีครับ ขอใบเสนอราคาหน่อย"),
        twilio("+13055550106", "canceled", 0),
        api(GoogleAds, "+13055550322", "voicemail", 27, "Bitte rufen Sie zurück."),
    ]
}
