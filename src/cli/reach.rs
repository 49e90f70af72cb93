//! `p2p` and `explain`: routes, and why.

use super::args::{Common, Explain, P2p, RootComplexArg};
use super::clique::of_labels;
use super::output::Answers;
use super::{Exit, Stop, address, input};
use crate::report::json::{
    AcceptedDocument, Body, ExplainDocument, ImpersonationDocument, MatrixDocument, P2pDocument,
    P2pdmaDocument, RouteDocument,
};
use crate::report::text;
use crate::report::words;
use crate::route::domains::Impersonation;
use crate::route::fabric::Fabric;
use crate::route::linux::Linux;
use crate::route::matrix::{Cell, Label, MAX_CELLS};
use crate::route::p2pdma;
use crate::route::port::TlpClass;
use crate::route::{Assumptions, Disposition, Reason, RootComplex};
use crate::topology::FunctionIndex;

/// What the options assume, of hostile functions.
pub(super) fn assumptions(common: &Common) -> Assumptions {
    Assumptions {
        hostile: true,
        root_complex: match common.root_complex {
            RootComplexArg::Isolates => RootComplex::Isolates,
            RootComplexArg::Unknown => RootComplex::Unknown,
        },
        count_relaxed_and_io: common.count_relaxed_and_io,
        trust_routing_ids: !common.distrust_routing_ids,
    }
}

pub(super) fn p2p(common: &Common, options: &P2p) -> Result<Exit, Stop> {
    let (Some(from), Some(to)) = (&options.from, &options.to) else {
        return match options.matrix {
            true => matrix(common, options),
            false => Err(Stop::Usage(String::from(
                "p2p takes two functions: acsscan p2p FROM TO; --matrix has all classes of functions against each \
                 other, --cliques what works between functions of a guest",
            ))),
        };
    };
    let scanned = input::read(common, false)?;
    let pair = (address::find(&scanned.topology, from)?, address::find(&scanned.topology, to)?);
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumptions(common), Some(&sorted(pair)));
    let assumed = Assumptions { hostile: !options.as_configured, ..assumptions(common) };
    let document = p2p_document(&answers, &assumed, pair);
    answers.write(
        common,
        |_| Body::P2p(document.clone()),
        |mut out, view| text::p2p(&mut out, view, &assumed, pair, &document),
    )?;
    Ok(answers.exit_if(common, || rests_on_missing(&fabric, &assumed, pair)))
}

/// Whether the answer for a pair rests on something that was not captured: what becomes of a class that
/// counts, or whether the one can use the other's requester ID.
fn rests_on_missing(
    fabric: &Fabric<'_>,
    assumed: &Assumptions,
    (from, to): (FunctionIndex, FunctionIndex),
) -> bool {
    let undetermined = assumed.counted().any(|class| {
        let (disposition, reason) = fabric.disposition(from, to, class, assumed);
        disposition == Disposition::Undetermined && reason.is_not_captured()
    });
    let unproven = |a, b| fabric.impersonation(a, b, assumed).is_some_and(Impersonation::is_unproven);
    undetermined || unproven(from, to) || unproven(to, from)
}

fn matrix(common: &Common, options: &P2p) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let assumed = assumptions(common);
    if !options.class.is_empty() && of_labels(&fabric, &options.class).is_empty() {
        return Err(no_such_class(&fabric, &options.class));
    }
    let matrix = fabric.matrix(&options.class, &assumed).map_err(|error| {
        Stop::Usage(format!(
            "{} classes of functions have more than {MAX_CELLS} ways to stand to each other, too many for a \
             matrix: narrow it with --class, or scan fewer functions",
            error.classes
        ))
    })?;
    let answers = Answers::new(&scanned, &linux, &fabric, &assumed, None);
    answers.write(
        common,
        |answers| {
            let assumptions = answers.assumptions(&assumed);
            Body::Matrix(MatrixDocument::new(&answers.reach(), &matrix, assumptions))
        },
        |mut out, view| text::matrix(&mut out, view, &matrix),
    )?;
    let rests = |cell: &Cell| {
        let undetermined = cell.disposition == Disposition::Undetermined && cell.reason.is_not_captured();
        undetermined || cell.impersonation.is_none()
    };
    Ok(answers.exit_if(common, || matrix.cells.iter().any(rests)))
}

/// Says which kinds of functions there are, where those that were asked for are not.
fn no_such_class(fabric: &Fabric<'_>, asked: &[Label]) -> Stop {
    let words =
        |labels: &mut dyn Iterator<Item = Label>| labels.map(Label::word).collect::<Vec<_>>().join(", ");
    let there = words(&mut Label::ALL.into_iter().filter(|label| !of_labels(fabric, &[*label]).is_empty()));
    let there = match there.as_str() {
        "" => String::from("nor any other that could send"),
        there => format!("there are {there}"),
    };
    let asked = words(&mut asked.iter().copied());
    Stop::Input(format!("--class {asked}: no such function in the dump; {there}"))
}

fn sorted((a, b): (FunctionIndex, FunctionIndex)) -> [FunctionIndex; 2] {
    [a.min(b), a.max(b)]
}

pub(super) fn explain(common: &Common, options: &Explain) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let function = address::find(&scanned.topology, &options.function)?;
    let other = options.other.as_deref().map(|other| address::find(&scanned.topology, other)).transpose()?;
    let linux = Linux::new(&scanned.topology, &scanned.database);
    let fabric = Fabric::seen_by(&linux);
    let named = sorted((function, other.unwrap_or(function)));
    let assumed = assumptions(common);
    let answers = Answers::new(&scanned, &linux, &fabric, &assumed, Some(&named));
    let document = ExplainDocument::new(&answers.reach(), function, other);
    answers.write(
        common,
        |_| Body::Explain(document.clone()),
        |mut out, view| text::explain(&mut out, view, function, &document),
    )?;
    let inconclusive = || {
        let domain = answers.domains.domain_of(function).and_then(|id| answers.domains.get(id));
        let why = domain.into_iter().flat_map(|domain| domain.why());
        why.filter_map(|merge| merge.reason).any(Reason::is_not_captured)
            || document.misses_a_bridge()
            || other.is_some_and(|other| {
                rests_on_missing(&fabric, &assumed, (function, other))
                    || rests_on_missing(&fabric, &assumed, (other, function))
            })
    };
    Ok(answers.exit_if(common, inconclusive))
}

fn p2p_document(
    answers: &Answers<'_>,
    assumed: &Assumptions,
    (from, to): (FunctionIndex, FunctionIndex),
) -> P2pDocument {
    let reach = answers.reach();
    let (fabric, topology) = (reach.fabric, reach.topology());
    let routes = TlpClass::ALL.iter().map(|class| fabric.trace(from, to, *class, assumed));
    let (from_as_to, to_as_from) =
        (fabric.impersonation(from, to, assumed), fabric.impersonation(to, from, assumed));
    let known = |why: Option<Impersonation>| match why {
        Some(why) if why.is_unproven() => None,
        why => Some(why.is_some()),
    };
    let message = format!(
        "{}; {}",
        words::scope(fabric, from, to, from_as_to),
        words::scope(fabric, to, from, to_as_from)
    );
    let forgeries = [((from, to), from_as_to), ((to, from), to_as_from)]
        .into_iter()
        .filter_map(|(pair, why)| Some((pair, why?)));
    let evidence = forgeries.clone().flat_map(|(pair, why)| fabric.impersonation_evidence(pair.0, why));
    let mapping = p2pdma::mapping(topology, fabric.database(), to, from);
    P2pDocument {
        from: words::address(topology, from),
        to: words::address(topology, to),
        model: String::from("spec"),
        assumptions: answers.assumptions(assumed),
        routes: routes.map(|route| RouteDocument::new(&reach, &route)).collect(),
        impersonation: ImpersonationDocument {
            from_as_to: known(from_as_to),
            to_as_from: known(to_as_from),
            message,
            evidence: evidence.map(|evidence| (&evidence).into()).collect(),
            accepted: forgeries
                .clone()
                .find_map(|(pair, why)| reach.accepted.of_impersonation(fabric, pair, why))
                .map(AcceptedDocument::from),
        },
        p2pdma: P2pdmaDocument::new(topology, &mapping),
    }
}
