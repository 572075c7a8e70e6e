"""The timeline as a consumer group on real brokers: processes share partitions, come, go, are killed and wake up too late, and together they
hold exactly what one process makes of the same events."""
from group_harness import *
from messages import Hospital


def one_process_keeps_all_of_it(version="4"):
    site = Site(version=version)
    try:
        site.start_hub()
        one = site.add("one").start()
        hospital = Hospital(61, 8)
        site.send(hospital.messages(120) + [encode(hospital.merge(1, 2))])
        site.settled()
        state = site.state()
        one.stop()
        one.take_keys(site.hub)  # patients' secrets too
        one.start()
        site.settled()
        check(site.state() == state, "a restart changes the state")
        content = one.digest("content")
        records = site.cluster.dump("chartline.timeline")
        check(any(b"/" not in key for _, _, key, _, _ in records) and any(b"/" in key for _, _, key, _, _ in records), "token records and entries")
        expected = site.undisturbed()
        check(state == expected[0], "the state is not that of one undisturbed process")
        check(content == expected[1], "the content is not that of one undisturbed process")
    finally:
        site.close()


if __name__ == "__main__":
    needed()
    main([one_process_keeps_all_of_it])
