//! The scripts. Redis caches each by its digest.

use redis::Script;

pub(crate) struct Scripts {
    pub(crate) take: Script,
    pub(crate) heartbeat: Script,
    pub(crate) reserve: Script,
    pub(crate) confirm: Script,
    pub(crate) settle: Script,
    pub(crate) rebuild: Script,
    pub(crate) used: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let of_budgets =
            |text: &str| Script::new(&(include_str!("lua/budget.lua").to_owned() + text));
        Self {
            take: Script::new(include_str!("lua/take.lua")),
            heartbeat: Script::new(include_str!("lua/heartbeat.lua")),
            reserve: of_budgets(include_str!("lua/reserve.lua")),
            confirm: of_budgets(include_str!("lua/confirm.lua")),
            settle: of_budgets(include_str!("lua/settle.lua")),
            rebuild: of_budgets(include_str!("lua/rebuild.lua")),
            used: of_budgets(include_str!("lua/used.lua")),
        }
    }
}
