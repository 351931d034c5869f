"""The public names: what a caller may import from where. Everything else may change without a word."""

from __future__ import annotations

PUBLIC: dict[str, dict[str, tuple[str, ...]]] = {
    "models: what is run": {
        "models.spec": ("ModelSpec",),
        "models.vae_spec": ("VaeSpec",),
        "models.catalog": ("load_spec",),
        "models.find_spec": ("find_spec",),
        "models.source": ("ModelSource",),
        "models.loaded": ("LoadedModel",),
        "models.toy.model": ("load_toy",),
        "models.generate": ("generate",),
        "models.errors": ("BlockcascadeError", "ModelError", "SpecError", "CheckpointError", "PromptError"),
    },
    "planner: what is given": {
        "planner.problem": ("Problem",),
        "planner.cluster": ("Cluster", "Device", "Link"),
        "planner.workload": ("Workload", "PromptSwitch"),
        "planner.profile": ("Profile", "Timing", "Transfer", "Parallel"),
        "planner.latencies": ("Latencies",),
        "planner.patterns": ("Pattern", "all_patterns", "tolerates"),
        "planner.placement": ("Placement",),
        "planner.objective": ("Limits",),
        "planner.shipped": ("with_shipped", "shipped_profile"),
        "planner.files": ("read_document", "read_plan", "read_any", "write_document"),
        "planner.errors": (
            "PlannerError",
            "InputError",
            "MismatchError",
            "DriftError",
            "InfeasibleError",
            "CheckError",
        ),
    },
    "planner: plans": {
        "planner.search": ("plan",),
        "planner.plan": ("Plan", "Evidence", "Alternative", "Repeat", "Steady"),
        "planner.check": ("check", "violations"),
        "planner.pareto": ("pareto", "Point"),
        "planner.streams.unroll": ("unroll",),
        "planner.perfetto": ("to_perfetto",),
    },
    "planner: runs": {
        "planner.simulate": ("simulate",),
        "planner.montecarlo": ("montecarlo", "Runs", "Range", "Summary"),
        "planner.conditions": (
            "Conditions",
            "Jitter",
            "Spread",
            "Straggler",
            "SlowLink",
            "Outage",
            "StartUp",
            "Player",
        ),
        "planner.simulating.fit": ("fit_jitter", "as_measured", "Measured"),
        "planner.trace": ("Trace",),
        "planner.measures": ("measure", "Measures"),
        "planner.calibrate": ("calibrate", "Calibration"),
        "planner.replay": ("replay", "what_if", "Replayed"),
        "planner.compare": ("compare", "Comparison", "Side"),
    },
    "planner: questions": {
        "planner.whatif": ("whatif", "Grid", "Row", "Sweep"),
        "planner.sweeping.sensitivity": ("sensitivity", "Influence"),
        "planner.capacity": ("sessions_held", "demand_held", "cheapest", "breaks_first", "serve", "Answer", "Fit"),
        "planner.serving.policy": ("Policy",),
        "planner.serving.demand": ("Demand", "Arrivals", "Lengths", "Prompts"),
        "planner.serving.goal": ("Goal", "Verdict"),
        "planner.estimate": ("estimate", "Estimate"),
        "planner.system": ("System",),
    },
    "planner: pictures": {
        "planner.pictures.timeline": ("plot_timeline", "plot_timelines"),
        "planner.pictures.pareto": ("plot_pareto",),
        "planner.pictures.dependencies": ("plot_dependencies",),
        "planner.pictures.report": ("report_html",),
    },
    "executor: running": {
        "executor.launch": ("execute", "Clip"),
        "executor.options": ("RunOptions",),
        "executor.keeping.run_folder": ("Keep",),
        "executor.weights": ("Weights",),
        "executor.measuring.profiling": ("profile", "Asked"),
        "executor.errors": ("ExecutorError", "WorldError", "RankError", "OutputError", "StateError"),
    },
}


def modules() -> dict[str, tuple[str, ...]]:
    """Module -> public names."""
    return {module: names for group in PUBLIC.values() for module, names in group.items()}
