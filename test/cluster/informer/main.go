// What a controller in Go would hold of a cluster's pods: client-go's shared informer over protobuf, as it comes or with a transform that
// keeps the fields which Gracewatch keeps. It says on standard output when it is ready, and gives free memory back on SIGUSR1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that says where the API server is")
	strip := flag.Bool("strip", false, "keep only the fields that Gracewatch keeps")
	flag.Parse()
	if err := run(*kubeconfig, *strip); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string, strip bool) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	free := make(chan os.Signal, 1)
	signal.Notify(free, syscall.SIGUSR1)

	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Pods().Informer()
	if strip {
		if err := informer.SetTransform(stripped); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("the cache of %v did not fill", kind)
		}
	}
	fmt.Printf("ready %d\n", len(informer.GetStore().ListKeys()))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-free:
			debug.FreeOSMemory()
			fmt.Printf("freed %d\n", len(informer.GetStore().ListKeys()))
		}
	}
}

// The fields of src/kube/decode/pod.ts. What is not copied is garbage once the transform returns.
func stripped(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:                  pod.Namespace,
			Name:                       pod.Name,
			UID:                        pod.UID,
			ResourceVersion:            pod.ResourceVersion,
			Generation:                 pod.Generation,
			CreationTimestamp:          pod.CreationTimestamp,
			DeletionTimestamp:          pod.DeletionTimestamp,
			DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds,
			Finalizers:                 pod.Finalizers,
		},
		Spec: corev1.PodSpec{
			NodeName:                      pod.Spec.NodeName,
			RestartPolicy:                 pod.Spec.RestartPolicy,
			TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
			ActiveDeadlineSeconds:         pod.Spec.ActiveDeadlineSeconds,
			InitContainers:                containers(pod.Spec.InitContainers),
			Containers:                    containers(pod.Spec.Containers),
		},
		Status: corev1.PodStatus{
			Phase:                      pod.Status.Phase,
			Reason:                     pod.Status.Reason,
			Message:                    pod.Status.Message,
			StartTime:                  pod.Status.StartTime,
			ObservedGeneration:         pod.Status.ObservedGeneration,
			InitContainerStatuses:      statuses(pod.Status.InitContainerStatuses),
			ContainerStatuses:          statuses(pod.Status.ContainerStatuses),
			EphemeralContainerStatuses: statuses(pod.Status.EphemeralContainerStatuses),
		},
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		slim.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	for _, condition := range pod.Status.Conditions {
		switch condition.Type {
		case corev1.DisruptionTarget, corev1.PodReady, corev1.PodScheduled:
			condition.LastProbeTime = metav1.Time{}
			slim.Status.Conditions = append(slim.Status.Conditions, condition)
		}
	}
	return slim, nil
}

func containers(all []corev1.Container) []corev1.Container {
	if len(all) == 0 {
		return nil
	}
	slim := make([]corev1.Container, 0, len(all))
	for _, container := range all {
		slim = append(slim, corev1.Container{
			Name:          container.Name,
			RestartPolicy: container.RestartPolicy,
			Lifecycle:     container.Lifecycle,
		})
	}
	return slim
}

func statuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(all) == 0 {
		return nil
	}
	slim := make([]corev1.ContainerStatus, 0, len(all))
	for _, status := range all {
		slim = append(slim, corev1.ContainerStatus{
			Name:                 status.Name,
			RestartCount:         status.RestartCount,
			ContainerID:          status.ContainerID,
			StopSignal:           status.StopSignal,
			State:                status.State,
			LastTerminationState: status.LastTerminationState,
		})
	}
	return slim
}
