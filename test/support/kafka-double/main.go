// A Kafka cluster of one broker in memory, which speaks the real protocol: for machines without Docker.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	sasl := flag.Bool("sasl", false, "demand a password (kafkajs cannot log in: kfake names its mechanisms only in a refusal)")
	acls := flag.Bool("acls", false, "allow nobody anything")
	cert := flag.String("cert", "", "PEM file of the certificate: the port speaks TLS")
	key := flag.String("key", "", "PEM file of its key")
	flag.Parse()
	port, err := strconv.Atoi(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	options := []kfake.Opt{kfake.Ports(port), kfake.NumBrokers(1), kfake.DefaultNumPartitions(3)}
	if *sasl {
		options = append(options, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "robot", "right"))
	}
	if *acls {
		options = append(options, kfake.EnableACLs())
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.ListenAddrs()[0])
	select {}
}
