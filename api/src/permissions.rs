//! Who may do what. `docs/api.md` shows the same table.

use common::{db::Caller, role::Role};

use crate::problem::Problem;

/// What needs more than membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    DeleteLeads,
    ChangeVehicles,
    ChangeAutomationRules,
    ChangeDealership,
    ChangeLeadSources,
    DecideOnInbound,
    MergeCustomers,
}

impl Action {
    /// As the log has it.
    fn label(self) -> &'static str {
        match self {
            Self::DeleteLeads => "delete_leads",
            Self::ChangeVehicles => "change_vehicles",
            Self::ChangeAutomationRules => "change_automation_rules",
            Self::ChangeDealership => "change_dealership",
            Self::ChangeLeadSources => "change_lead_sources",
            Self::DecideOnInbound => "decide_on_inbound",
            Self::MergeCustomers => "merge_customers",
        }
    }

    fn least_role(self) -> Role {
        match self {
            Self::DeleteLeads
            | Self::ChangeVehicles
            | Self::ChangeAutomationRules
            | Self::DecideOnInbound
            | Self::MergeCustomers => Role::Manager,
            Self::ChangeDealership | Self::ChangeLeadSources => Role::Admin,
        }
    }
}

/// Lets the caller through, or says who could.
pub(crate) fn require(caller: &Caller, action: Action) -> Result<(), Problem> {
    if caller.role >= action.least_role() {
        return Ok(());
    }
    tracing::info!(action = action.label(), role = %caller.role, "not permitted");
    Err(Problem::forbidden(match action.least_role() {
        Role::Admin => "Only an admin of the dealership may do this.",
        Role::Manager | Role::SalesRep => "Only a manager or an admin of the dealership may do this.",
    }))
}
