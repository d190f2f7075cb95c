%% Random tests with a seed: a failure tells the seed, RAM_SEED=<integer> runs the same cases again.
-module(ram_property).

-export([check/2, check/3, wrong/1, holds/1, seed/0]).

%% @doc Fails the test case when the property does not hold. PropEr has no option for its seed, but
%% keeps the state of `rand' that it finds.
check(Property, Tests) ->
    check(Property, Tests, []).

check(Property, Tests, More) ->
    Seed = seed(),
    %% First: a run that breaks off shall be repeatable too.
    ct:log("RAM_SEED=~p", [Seed]),
    _ = rand:seed(exsplus, Seed),
    Options = [{numtests, Tests}, {on_output, fun ct:log/2} | More],
    case proper:counterexample(Property, Options) of
        true -> ok;
        Failed -> ct:fail("RAM_SEED=~p~n~p", [Seed, Failed])
    end.

%% @doc What is wrong with a case that throws `{wrong, Why}', or ends with another exception:
%% PropEr, as it is packaged, shrinks no case that ends with one.
-spec wrong(fun(() -> term())) -> [term()].
wrong(Case) ->
    try Case() of
        _ -> []
    catch
        throw:{wrong, Why} -> [Why];
        Class:Reason:Stack -> [{Class, Reason, Stack}]
    end.

%% @doc Of a case, which tells what is wrong.
-spec holds([term()]) -> boolean().
holds([]) -> true;
holds(Wrong) -> ct:log("~p", [Wrong]), false.

seed() ->
    case os:getenv("RAM_SEED") of
        false -> erlang:phash2({make_ref(), os:timestamp()});
        Seed -> list_to_integer(Seed)
    end.
