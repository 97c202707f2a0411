//! What is said of incidents of alerts.

use std::sync::Arc;

use super::Applying;
use crate::domain::alert::{AlertEvent, Dismissal, Incident, IncidentEnd};
use crate::domain::facts::{Tables as _, Unavailable};
use crate::domain::id::IncidentId;

impl Applying<'_, '_, '_> {
    pub(super) fn alert_event(&mut self, event: &AlertEvent) -> Result<(), Unavailable> {
        let (by, at) = (self.actor.clone(), self.at);
        match event {
            AlertEvent::Raised { incident } => {
                let key = (incident.finding.kind, incident.finding.subject.clone());
                self.state.changes.latest_incidents.insert(key, incident.id.clone());
                if let Some(before) = self.state.incident(&incident.id)? {
                    self.tally(&before, false)?;
                }
                self.tally(incident, true)?;
                self.state.changes.incidents.insert(incident.id.clone(), (**incident).clone());
                Ok(())
            }
            AlertEvent::Cleared { id, remedied } => {
                let by = remedied.then_some(by);
                self.incident(id, |incident| incident.cleared = Some(IncidentEnd { at, by }))
            }
            AlertEvent::Dismissed { id, reason } => {
                let dismissal = Dismissal { by, at, reason: *reason };
                self.incident(id, |incident| incident.dismissed = Some(dismissal))
            }
            AlertEvent::Rearmed { id } => self.incident(id, |incident| incident.dismissed = None),
        }
    }

    /// Changes an incident that lasts; the counts follow.
    fn incident(&mut self, id: &IncidentId, change: impl FnOnce(&mut Incident)) -> Result<(), Unavailable> {
        let Some(found) = self.state.incident(id)?.filter(|found| found.lasts()) else { return Ok(()) };
        self.tally(&found, false)?;
        let mut incident = Arc::unwrap_or_clone(found);
        change(&mut incident);
        self.tally(&incident, true)?;
        self.state.changes.incidents.insert(id.clone(), incident);
        Ok(())
    }

    fn tally(&mut self, incident: &Incident, more: bool) -> Result<(), Unavailable> {
        let (kind, severity) = (incident.finding.kind, incident.finding.severity);
        let mut tally = self.state.alert_tally(kind, severity)?;
        tally.count(incident, more);
        self.state.changes.alert_tallies.insert((kind, severity), tally);
        Ok(())
    }
}
