//! Effects per category, kind and mode.

use super::*;

#[test]
fn observe_mode_softens_denials_and_off_stays_off() {
    let mut risk = Risk::default();
    assert_eq!(risk.effect(Kind::Turn, Category::Secrets, false), Some(Effect::Deny));
    assert_eq!(risk.effect(Kind::Turn, Category::PromptInjection, false), Some(Effect::Observe));
    risk.kinds.turn.url = CategoryEffect::Off;
    risk.mode = Mode::Observe;
    let effects = Category::ALL.map(|category| risk.effect(Kind::Turn, category, false));
    let observe = Some(Effect::Observe);
    assert_eq!(effects, [observe, observe, None, observe, observe]);
}

#[test]
fn text_about_code_is_refused_only_for_severe_findings_unless_set() {
    let risk = Risk::default();
    for category in [Category::CommandExec, Category::Url, Category::PathTraversal] {
        assert_eq!(risk.effect(Kind::Chat, category, false), Some(Effect::Observe));
        assert_eq!(risk.effect(Kind::Chat, category, true), Some(Effect::Deny));
        for kind in [Kind::Act, Kind::Turn, Kind::Plan] {
            assert_eq!(risk.effect(kind, category, false), Some(Effect::Deny));
        }
    }
    assert_eq!(risk.effect(Kind::Chat, Category::Secrets, false), Some(Effect::Deny));
    let off = Categories { url: CategoryEffect::Off, ..Categories::default() };
    let mut overrides = KindOverrides::default();
    overrides.chat.command_exec = Some(CategoryEffect::Deny);
    overrides.act.secrets = Some(CategoryEffect::Observe);
    let kinds = KindEffects::resolve(&off, &overrides);
    assert_eq!(kinds.chat.url, CategoryEffect::Off);
    assert_eq!(kinds.chat.command_exec, CategoryEffect::Deny);
    // A tool's arguments have meanings, so text about code is not mistaken for an address.
    assert_eq!(kinds.tool.path_traversal, CategoryEffect::Deny);
    assert_eq!(kinds.act.secrets, CategoryEffect::Observe);
    assert_eq!(kinds.turn.secrets, CategoryEffect::Deny);
}

#[test]
fn a_category_has_one_name_everywhere() {
    let keys = serde_json::to_value(Categories::default()).unwrap();
    for category in Category::ALL {
        assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
        assert!(keys.get(category.as_str()).is_some());
    }
}
