#!/usr/bin/env python3
"""The hub logs in to a real broker with Kerberos: a real KDC, a keytab, and what is said when one of them is wrong."""
import kerberos
from harness import *
from kafka_harness import *
from kafka_test import LOCAL, encode, forwarded, until
from kerberos import REALM, Kdc
from messages import Hospital


def cluster_of(kdc):
    keytab = kdc.principal("kafka/localhost")
    prefix = "listener.name.client.gssapi.sasl."
    settings = {"sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,GSSAPI",
                "listener.name.client.sasl.kerberos.service.name": "kafka",
                prefix + "jaas.config": "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
                                        f'keyTab="{keytab}" principal="kafka/localhost@{REALM}";'}
    cluster = Cluster(settings=settings, options=[f"-Djava.security.krb5.conf={kdc.path('krb5.conf')}"])
    cluster.allow_roles()
    return cluster


def kerberos_hub(cluster, keytab, principal="hub", more=""):
    hub = Hub()
    hub.edit(LOCAL, cluster.yaml(mechanism="GSSAPI"))
    with open(os.path.join(hub.dir, "hub.yaml"), encoding="utf-8") as f:
        line = next(text for text in f if "mechanism: GSSAPI" in text)
    hub.edit(line, f'    sasl: {{mechanism: GSSAPI, kerberos: {{principal: {principal}, keytab: "{keytab}"{more}}}}}\n')
    return hub


def refused(hub, cause, run_too=False):
    try:
        out = hub.cli("check", "--connect", expect=2)
        check(cause in out, f"check does not say {cause!r}:\n{out}")
        if run_too:
            _, err = run("run", cwd=hub.dir, expect=1, timeout=60)
            check(cause in err, f"run does not say {cause!r}:\n{err}")
    finally:
        hub.close()


def a_keytab_logs_in_and_wrong_ones_are_refused_by_name():
    kdc = Kdc()
    os.environ.update(kdc.env)
    cluster, hub = None, None
    try:
        keytab = kdc.principal("hub")
        cluster = cluster_of(kdc)
        hub = kerberos_hub(cluster, keytab)
        out = hub.cli("check", "--connect", expect=None)
        hub.start()
        check(ack_code(send_all(hub, [encode(Hospital(81).adt("A01", 1))])[0])[0] == "AA", "the message is not taken")
        forwarded(hub)
        check(cluster.count("chartline.events") == 1, f"the event is not there\n{out}")
        hub.close()
        wrong = kdc.path("wrong.keytab")
        shutil.copy(keytab, wrong)
        kdc.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {keytab} hub@{REALM}")  # new keys: the copy is out of date
        kdc.forget_tickets()
        refused(kerberos_hub(cluster, wrong), "no Kerberos ticket", run_too=True)
        refused(kerberos_hub(cluster, keytab, principal="nobody"), "no Kerberos ticket")
        refused(kerberos_hub(cluster, kdc.path("not-there.keytab")), "no Kerberos ticket")
        kdc.forget_tickets()
        refused(kerberos_hub(cluster, keytab, more=", service: other"), "does not know the brokers' service")
        kdc.stop()
        kdc.forget_tickets()
        refused(kerberos_hub(cluster, keytab), "no Kerberos ticket")
        kdc.start()
        hub = kerberos_hub(cluster, keytab)
        check("Kerberos" not in hub.cli("check", "--connect", expect=None), "the login fails with a good keytab")
        hub.close()
        os.environ["SASL_PATH"] = kdc.path("no-modules")
        refused(kerberos_hub(cluster, keytab), "no Kerberos for SASL")
    finally:
        os.environ.pop("SASL_PATH", None)
        if hub is not None:
            hub.close()
        if cluster is not None:
            cluster.close()
        kdc.close()


if __name__ == "__main__":
    kerberos.needed()
    needed()
    main([a_keytab_logs_in_and_wrong_ones_are_refused_by_name])
