"""How fast training is: `CNNClassifier` beside skorch, Keras and loops written by hand.

    python benchmarks/fit_throughput.py                     all cases, about 12 minutes on two cores
    python benchmarks/fit_throughput.py --case 28x28        one case
    python benchmarks/fit_throughput.py --case accuracy     accuracy after 3 epochs of Fashion-MNIST

On the same network, images, batch size, epochs and optimizer. Needs the extra `bench`. The
case 64x64 also prints the share of the machine's own rate of matrix products that training
reaches, and page faults are those of one fit.
"""

import statistics

from side_by_side import (
    CASES,
    Case,
    Process,
    command_line,
    measure,
    print_table,
    resized,
    summary,
    write_json,
)

FASHION = Case("Fashion-MNIST, 3 epochs, batch 128", "textbook", (28, 28, 1), 60_000, 128, epochs=3)


def flops_per_image(case):
    """Count the floating-point operations of the products in one training step, an image."""
    import torch
    from contenders import make_network
    from torch.utils.flop_counter import FlopCounterMode

    height, width, channels = case.image_shape
    images = torch.zeros(case.batch_size, channels, height, width)
    counter = FlopCounterMode(display=False)
    with counter:
        make_network(case)(images).sum().backward()
    return counter.get_total_flops() / case.batch_size


def print_share(case, rows, rates):
    """Print the share of the machine's matrix rate that training reaches."""
    flops = flops_per_image(case)
    shares = {}
    for row, precision in ((rows[0], "bf16"), (rows[1], "float32")):
        rate = statistics.median(answer[precision] for answer in rates)
        shares[precision] = row["images_per_second"] * flops / rate
        print(
            f"\n{row['contender']}: {row['images_per_second'] * flops / 1e9:.0f} GFLOP/s, "
            f"{shares[precision]:.2f} of the machine's {rate / 1e9:.0f} in {precision}"
        )
    return shares


def accuracy(names, seeds, threads):
    """Return the test accuracy on Fashion-MNIST of each contender, a list over fits."""
    from examples import image_sets

    X_train, y_train, X_test, y_test = image_sets.load_fashion_mnist()
    images, test_images = X_train[..., None], X_test[..., None]
    results = {}
    for name in names:
        process = Process(name, FASHION, threads, data=(images, y_train.astype("int64")))
        results[name] = []
        for _ in range(seeds):
            process.ask("fit", FASHION.epochs)
            answer = process.ask("accuracy", test_images, y_test)
            results[name].append(answer["accuracy"])
        process.close()
        shown = ", ".join(f"{score:.4f}" for score in results[name])
        print(f"| {name} | {statistics.mean(results[name]):.4f} | {shown} |", flush=True)
    return results


def main():
    parser = command_line(__doc__, [*CASES, "accuracy"])
    parser.add_argument("--seeds", type=int, default=1, help="fits that accuracy is averaged over")
    arguments = parser.parse_args()
    results = {}
    for key in arguments.case:
        if key == "accuracy":
            print(f"\n### {FASHION.title}\n\n| contender | test accuracy | fits |\n|---|---|---|")
            names = ("ours", *(arguments.contenders or FASHION.peers))
            results[key] = accuracy(names, arguments.seeds, arguments.threads)
            continue
        case, repetitions = resized(CASES[key], arguments)
        names = ["ours", *(arguments.contenders or case.peers)]
        with_share = key == "64x64"
        if with_share:
            names.insert(1, "ours, float32")
        extra = ("matrix_rate", arguments.clock) if with_share else None
        answers = measure(case, "fit", names, repetitions, arguments.threads, extra)
        n_images = case.n_samples * (1 if case.one_more else case.epochs)
        rows = summary(answers, names, n_images, arguments.clock)
        print_table(f"fit: {case.title}{', an epoch more' if case.one_more else ''}", rows)
        results[key] = {"rows": rows}
        if with_share:
            results[key]["shares"] = print_share(case, rows, answers["matrix_rate"])
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
