"""Whether an engine can serve a Model, and what a person must change if not."""

from collections.abc import Callable, Iterator

from modelfleet.api.conditions import Reason
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.engines import template, validity, version
from modelfleet.plan import command, weights

Problem = tuple[Reason, str]
Check = Callable[[Model, Engine], Problem | None]


def why_invalid(engine: Engine) -> str | None:
    """Return why no Model can use this Engine document, or None."""
    return validity.why_invalid(engine)


def engine_invalid(_: Model, engine: Engine) -> Problem | None:
    """The document itself is wrong: whoever wrote it must act."""
    if why := why_invalid(engine):
        return Reason.INVALID_SPEC, f"Engine {engine.metadata.name}: {why}"
    return None


def image_too_old(model: Model, engine: Engine) -> Problem | None:
    """What the document says does not hold for older versions."""
    oldest = engine.spec.minimum_version
    if version.reaches(command.version_for(model, engine), oldest):
        return None
    image = command.image_for(model, engine)
    return Reason.UNSUPPORTED_FEATURE, (
        f"spec.engine.image: {image} is older than {engine.metadata.name} {oldest}; "
        f"use a newer image, or leave it out for {engine.spec.image}"
    )


def scheme_unknown(model: Model, engine: Engine) -> Problem | None:
    """The engine cannot read such a source."""
    if weights.support_for(engine, model.spec.source):
        return None
    takes = ", ".join(f"{source.scheme}://" for source in engine.spec.sources)
    return Reason.UNSUPPORTED_SOURCE, (
        f"spec.source.uri: {engine.metadata.name} does not read "
        f"{weights.scheme_of(model.spec.source)}://; it reads {takes}. "
        "Put the weights there, or choose another engine"
    )


def scheme_too_new(model: Model, engine: Engine) -> Problem | None:
    """The engine learnt to read such a source later."""
    support = weights.support_for(engine, model.spec.source)
    if support is None or version.reaches(command.version_for(model, engine), support.since):
        return None
    return Reason.UNSUPPORTED_SOURCE, (
        f"spec.source.uri: {engine.metadata.name} reads {support.scheme}:// since "
        f"{support.since}; use a newer spec.engine.image"
    )


def revision_not_pinned(model: Model, engine: Engine) -> Problem | None:
    """Never claim a revision that nothing enforces."""
    source = model.spec.source
    support = weights.support_for(engine, source)
    if source.revision is None or support is None:
        return None
    if support.scheme != "oci" and not support.revision_args:
        return Reason.UNSUPPORTED_FEATURE, (
            f"spec.source.revision: {engine.metadata.name} cannot pin a revision of "
            f"{support.scheme}://; leave it out, or use a path or file that never changes"
        )
    return None


def adapter_revision_not_pinned(model: Model, _: Engine) -> Problem | None:
    """Engines take an adapter's repository by name alone."""
    for field, source in list(weights.sources_of(model))[1:]:
        if source.revision and weights.scheme_of(source) != "oci":
            return Reason.UNSUPPORTED_FEATURE, (
                f"{field}.revision: only an adapter from oci:// can be pinned; leave it out"
            )
    return None


def image_named_twice(model: Model, _: Engine) -> Problem | None:
    """An oci source has its tag or digest in one place."""
    for field, source in weights.sources_of(model):
        if weights.scheme_of(source) == "oci" and source.revision and weights.has_tag(source):
            return Reason.INVALID_SPEC, (
                f"{field}.revision: {source.uri} has a tag or digest already; give it once"
            )
    return None


def token_not_taken(model: Model, engine: Engine) -> Problem | None:
    """A Secret that nothing would read hides a mistake."""
    for field, source in weights.sources_of(model):
        support = weights.support_for(engine, source)
        if source.secret_ref and (support is None or support.token_env is None):
            remedy = (
                "name the Secret in spec.podTemplate.imagePullSecrets"
                if weights.scheme_of(source) == "oci"
                else "give the credentials as spec.engine.env or by spec.podTemplate"
                ".serviceAccountName"
            )
            return Reason.UNSUPPORTED_FEATURE, (
                f"{field}.secretRef: {engine.metadata.name} takes no token for "
                f"{weights.scheme_of(source)}://; {remedy}"
            )
    return None


def tokens_differ(model: Model, engine: Engine) -> Problem | None:
    """The engine has one variable for the tokens of all sources."""
    tokens = command.tokens_for(model, engine)
    for field, source in weights.sources_of(model):
        support = weights.support_for(engine, source)
        if source.secret_ref is None or support is None or support.token_env is None:
            continue
        if tokens[support.token_env] != source.secret_ref.name:
            return Reason.INVALID_SPEC, (
                f"{field}.secretRef: {engine.metadata.name} takes one token for all sources of "
                f"{support.scheme}://; use the same Secret"
            )
    return None


def adapters_not_taken(model: Model, engine: Engine) -> Problem | None:
    """The engine has no adapters, or not from there."""
    support = engine.spec.adapters
    if not model.spec.adapters:
        return None
    if support is None:
        return Reason.UNSUPPORTED_FEATURE, (
            f"spec.adapters: {engine.metadata.name} takes no adapters; merge them into the "
            "weights, or choose another engine"
        )
    for field, source in list(weights.sources_of(model))[1:]:
        if weights.scheme_of(source) not in support.schemes:
            takes = ", ".join(f"{scheme}://" for scheme in support.schemes)
            return Reason.UNSUPPORTED_SOURCE, (
                f"{field}.uri: {engine.metadata.name} takes adapters from {takes}"
            )
    return None


def names_not_taken(model: Model, engine: Engine) -> Problem | None:
    """The engine answers to no name, or to one."""
    used = set(_placeholders(engine))
    if not model.spec.served_names or used & {"names", "nameList"}:
        return None
    if "name" in used and len(model.spec.served_names) == 1:
        return None
    takes = "one name" if "name" in used else "no name: its weights have theirs"
    return Reason.UNSUPPORTED_FEATURE, f"spec.servedNames: {engine.metadata.name} takes {takes}"


def argument_reserved(model: Model, engine: Engine) -> Problem | None:
    """A second `--port` would win against ours, and no probe would find the engine."""
    reserved = {command.flag_of(flag) for flag in engine.spec.reserved_args}
    flags = enumerate(map(command.flag_of, model.spec.engine.args))
    wrong = [(number, flag) for number, flag in flags if flag and flag in reserved]
    if not wrong:
        return None
    where = ", ".join(f"[{number}]" for number, _ in wrong)
    which = ", ".join(flag for _, flag in wrong)
    verb, remove = ("is", "it") if len(wrong) == 1 else ("are", "them")
    return Reason.INVALID_SPEC, (
        f"spec.engine.args{where}: {which} {verb} set from other fields of the spec; "
        f"remove {remove}"
    )


def variable_reserved(model: Model, engine: Engine) -> Problem | None:
    """A variable that we set has one value, ours."""
    reserved = command.reserved_env(model, engine)
    wrong = [one.name for one in model.spec.engine.env if one.name in reserved]
    if not wrong:
        return None
    where = ", ".join(f"[{name}]" for name in wrong)
    what = "this variable is" if len(wrong) == 1 else "these variables are"
    remove = "it" if len(wrong) == 1 else "them"
    return Reason.INVALID_SPEC, (
        f"spec.engine.env{where}: {what} set by the operator; remove {remove}"
    )


CHECKS: tuple[Check, ...] = (
    engine_invalid,
    image_too_old,
    scheme_unknown,
    scheme_too_new,
    revision_not_pinned,
    image_named_twice,
    adapters_not_taken,
    adapter_revision_not_pinned,
    token_not_taken,
    tokens_differ,
    names_not_taken,
    argument_reserved,
    variable_reserved,
)


def why_unusable(model: Model, engine: Engine) -> Problem | None:
    """Return the first reason why this engine cannot serve this Model, or None."""
    return next((why for check in CHECKS if (why := check(model, engine))), None)


def _placeholders(engine: Engine) -> Iterator[str]:
    for group in engine.spec.args:
        for text in group.values:
            yield from template.placeholders(text)
