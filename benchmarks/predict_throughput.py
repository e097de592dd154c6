"""How fast prediction in float32 is: `CNNClassifier` beside skorch, Keras and loops by hand.

    python benchmarks/predict_throughput.py                  all cases, about 5 minutes on two cores
    python benchmarks/predict_throughput.py --case 64x64     one case

Each case ends with a single image, beside the bare forward pass of the network.

Needs the extra `bench`.
"""

from dataclasses import replace

from side_by_side import (
    CASES,
    Case,
    command_line,
    measure,
    print_table,
    resized,
    summary,
    write_json,
)

# Of a single image only.
SINGLE = {
    f"resnet18-{side}": Case(
        f"ResNet-18, {side} x {side} x 3", "resnet18", (side, side, 3), 8, 4, n_predict=1, peers=()
    )
    for side in (64, 224)
}


def main():
    cases = {**CASES, **SINGLE}
    arguments = command_line(__doc__, cases).parse_args()
    results = {}
    for key in arguments.case:
        case, repetitions = resized(cases[key], arguments)
        # what is predicted does not depend on how long training was
        case = replace(case, n_samples=min(case.n_samples, 64))
        if key in CASES:
            names = ["ours", *(arguments.contenders or case.peers)]
            answers = measure(case, "predict", names, repetitions, arguments.threads)
            results[key] = summary(answers, names, case.n_predict, arguments.clock)
            print_table(f"predict: {case.title}", results[key])
        names = ["ours", "forward pass"]
        answers = measure(case, "predict_one", names, repetitions, arguments.threads)
        results[f"{key}, one image"] = rows = summary(answers, names, 1, arguments.clock)
        print_table(f"predict one image: {case.title}", rows)
        print(f"\nOne image takes {1 / rows[1]['ratio']:.2f} x the bare forward pass.", flush=True)
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
