//! The further applications of a request, which have to let it in as well.

use http::Request;

use crate::util::deferred::Deferred;

use super::super::Engine;
use super::super::request_context::{ApplicationContext, Receipt, RequestContext};
use super::cors::Cors;
use super::{Refusal, after, refuse};

impl Engine {
    /// The refusal of the first of the further applications that does not let a request in. `Err`
    /// asks for a wait, if there may be one, and to be asked again then.
    pub(super) fn judge_further<B>(
        &self,
        request: &Request<B>,
        context: &mut RequestContext,
        cors: Option<&Cors>,
        may_wait: bool,
    ) -> Result<Option<Box<Refusal>>, Deferred> {
        let receipt = context.receipt;
        let (mut refusal, mut waits) = (None, Vec::new());
        for further in &mut context.further {
            match self.judge_resource(request, further, &receipt, (cors, may_wait)) {
                Ok(refused) => refusal = refusal.or(refused),
                Err(wait) => waits.push(wait),
            }
        }
        match (refusal, Deferred::all(waits)) {
            (None, Some(wait)) => Err(wait),
            (refusal, _) => Ok(refusal),
        }
    }

    /// Waits for the first application, and for what the further ones have to wait for.
    pub(super) fn wait_for_all<B>(
        &self,
        wait: Deferred,
        request: &Request<B>,
        mut context: RequestContext,
    ) -> Deferred<RequestContext> {
        let wait = match self.judge_further(request, &mut context, None, true) {
            Ok(_) => wait,
            Err(further) => wait.and(further),
        };
        after(wait, context)
    }

    fn judge_resource<B>(
        &self,
        request: &Request<B>,
        context: &mut ApplicationContext,
        receipt: &Receipt,
        (cors, may_wait): (Option<&Cors>, bool),
    ) -> Result<Option<Box<Refusal>>, Deferred> {
        let Some(application) = self.directory.get(context.resource.application) else {
            return Ok(Some(self.refuse_unresolved(request)));
        };
        let verdict = self.judge(context, (application, receipt), may_wait)?;
        let kind = if verdict.outcome().opens() {
            let admitted = self
                .settle_session(context, (application, receipt), &verdict)
                .and_then(|()| self.check_page(request, context));
            match admitted {
                Ok(()) => return Ok(None),
                Err(kind) => kind,
            }
        } else {
            refuse::kind(context, application, &verdict, request)
        };
        let cors = cors.cloned().map(Box::new);
        Ok(Some(self.refuse_at(request, (context, application), (kind, verdict), cors)))
    }
}
