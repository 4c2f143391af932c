# shellcheck shell=bash
# packages: default-jdk-headless libhibernate3-java libjavassist-java libpostgresql-jdbc-java libslf4j-java
# statements: 82

CLASSPATH=.
for jar in hibernate3 hibernate-commons-annotations geronimo-jpa_2.0_spec geronimo-jta-1.2-spec \
    dom4j commons-collections3 antlr javassist slf4j-api slf4j-nop postgresql; do
    CLASSPATH+=:/usr/share/java/$jar.jar
done
export CLASSPATH

orders() { javac -nowarn ./*.java && java --add-opens java.base/java.lang=ALL-UNNAMED Orders "$@"; }

migrate() { psql -q -c 'CREATE EXTENSION IF NOT EXISTS flake' && orders migrate; }
insert() { orders; }
