//! Paths in tool calls, judged by their place. Purely lexical: the agent may be on another machine.

use life_agent_domain::governance::gate::Effect;
use life_agent_policy::document::Access;
use life_agent_policy::snapshot::Snapshot;

use crate::command::TargetClass;
use crate::command::targets::{Place, normalize};
use crate::tool::ToolView;
use life_agent_domain::governance::invisible::invisible;

/// Longest path, in bytes; the limit of Linux.
const MAX_BYTES: usize = 4096;

/// Why a path is stopped.
pub(super) struct PlaceFault {
    pub(super) rule: String,
    pub(super) why: String,
    pub(super) effect: Effect,
}

fn fault(rule: &str, why: &str, effect: Effect) -> Option<PlaceFault> {
    Some(PlaceFault { rule: rule.to_owned(), why: why.to_owned(), effect })
}

/// The fault of one path of a call, if any.
pub(super) fn judge(snapshot: &Snapshot, view: &ToolView, text: &str) -> Option<PlaceFault> {
    if text.len() > MAX_BYTES {
        return fault("path", "is longer than 4096 bytes", Effect::Deny);
    }
    if text.chars().any(|c| c.is_control() || invisible(c).is_some()) {
        return fault("path", "has a control or invisible character", Effect::Deny);
    }
    let text = text.strip_prefix("file://").unwrap_or(text);
    let place = Place::new(&view.place.context());
    let full = place.full(text);
    let below_root = full.trim_start_matches(['/', '~']).trim_start_matches('/');
    if let Some(glob) = snapshot.deny_globs.matching(below_root) {
        let why = format!("matches the deny glob `{glob}`");
        return Some(PlaceFault { rule: glob.to_owned(), why, effect: Effect::Deny });
    }
    let (rule, why) = match place.class(text) {
        TargetClass::Workspace | TargetClass::Build | TargetClass::Temporary => return None,
        TargetClass::Outside if leaves(text) => {
            return fault("parent_dir", "leaves the workspace through `..`", Effect::Deny);
        }
        TargetClass::Outside => ("outside_workspace", "lies outside the workspace"),
        TargetClass::Unknown => ("unknown_place", "names a place that is not known"),
        TargetClass::Root => ("root", "is the root of the file system"),
        TargetClass::Home => ("home_settings", "lies in the settings of a home folder"),
        TargetClass::System => ("system_folder", "lies in a folder of the system"),
        TargetClass::Device => ("device", "is a device"),
        TargetClass::Remote => ("remote", "is not a path on this machine"),
    };
    let is_mild = matches!(rule, "outside_workspace" | "unknown_place");
    let effect = if is_mild || view.access == Access::Read { Effect::Ask } else { Effect::Deny };
    fault(rule, why, effect)
}

/// Whether a relative path goes above the directory that it starts from.
fn leaves(text: &str) -> bool {
    let text = text.replace('\\', "/");
    let relative = normalize(&text);
    relative == ".." || relative.starts_with("../")
}
