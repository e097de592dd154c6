"""How fast prediction in float32 is: `CNNClassifier` beside skorch, Keras and loops by hand.

    python benchmarks/predict_throughput.py                  all cases, about 5 minutes on two cores
    python benchmarks/predict_throughput.py --case 64x64     one case
    python benchmarks/predict_throughput.py --case single    one 224 x 224 image, beside its bare
                                                             forward pass

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

SINGLE = Case(
    "ResNet-18, one image of 224 x 224 x 3",
    "resnet18",
    (224, 224, 3),
    8,
    4,
    n_predict=1,
    peers=("forward pass",),
)


def main():
    cases = {**CASES, "single": SINGLE}
    arguments = command_line(__doc__, cases).parse_args()
    results = {}
    for key in arguments.case:
        case, repetitions = resized(cases[key], arguments)
        # what is predicted does not depend on how long training was
        case = replace(case, n_samples=min(case.n_samples, 64))
        names = ["ours", *(arguments.contenders or case.peers)]
        answers = measure(case, "predict", names, repetitions, arguments.threads)
        results[key] = summary(answers, names, case.n_predict, arguments.clock)
        print_table(f"predict: {case.title}", results[key])
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
